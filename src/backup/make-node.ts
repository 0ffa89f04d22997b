/**
 * The node of an entry. Every field is written out: an object made by spreading another one and adding
 * to it gets a hidden class of its own, which costs memory for each and makes slow whoever reads them.
 */
import type { Content } from '../tree/content.ts';
import type { DirectoryRoot, Node } from '../tree/node.ts';
import type { InodeMetadata, SourceMetadata } from '../walk/source-metadata.ts';
import type { NodeExtras } from './node-extras.ts';

/** What is known of an entry beside what the walk saw. */
export interface NodeContent {
  readonly content?: Content | undefined;
  /** Of files: bytes in the content. */
  readonly size?: bigint | undefined;
  readonly directory?: DirectoryRoot | undefined;
  readonly extras?: NodeExtras | undefined;
}

/** @param inode where it was looked at again after the walk */
export function makeNode(
  metadata: SourceMetadata,
  { content, size, directory, extras }: NodeContent = {},
  inode: InodeMetadata = metadata,
): Node {
  return {
    name: metadata.name,
    type: metadata.type,
    mode: inode.mode,
    owner: inode.owner,
    ownerNames: inode.ownerNames,
    size,
    mtime: inode.mtime,
    ctime: inode.ctime,
    birthTime: inode.birthTime,
    inode: inode.inode,
    linkGroup: metadata.linkGroup,
    content,
    directory,
    target: metadata.target,
    device: metadata.device,
    attributes: extras?.attributes,
    attributeBlob: extras?.attributeBlob,
    flags: extras?.flags,
  };
}
