/**
 * Extended attributes and flags of an entry, from what the walk found to what stands in its node: little
 * in the node itself, much in a blob of its own.
 */
import type { BlobId } from '../id.ts';
import {
  attributesSize,
  encodeAttributeBlob,
  INLINE_ATTRIBUTES_SIZE_MAX,
} from '../tree/attributes.ts';
import type { Node } from '../tree/node.ts';
import type { SourceExtras } from '../walk/source-extras.ts';

export type NodeExtras = Pick<Node, 'attributes' | 'attributeBlob' | 'flags'>;

/** A promise that comes back must be awaited; there is one only where a blob is stored. */
export function storeExtras(
  { attributes, flags }: SourceExtras,
  write: (attributes: Uint8Array) => Promise<BlobId>,
): NodeExtras | Promise<NodeExtras> {
  if (attributes === undefined || attributesSize(attributes) <= INLINE_ATTRIBUTES_SIZE_MAX) {
    return { attributes, attributeBlob: undefined, flags };
  }
  return write(encodeAttributeBlob(attributes)).then((attributeBlob) => ({
    attributes: undefined,
    attributeBlob,
    flags,
  }));
}
