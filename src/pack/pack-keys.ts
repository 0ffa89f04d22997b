/** The keys of one pack, derived from its salt: one for frames of each class, one for the directory. */
import type { FrameClass } from '../frame/frame-record.ts';
import type { RepositoryId } from '../id.ts';
import {
  deriveObjectKey,
  type GenerationKeys,
  KEY_CLASS,
  type KeyClass,
} from '../keys/key-hierarchy.ts';
import type { PackKind } from '../record/object-kind.ts';

export interface PackKeys {
  frame(frameClass: FrameClass): Uint8Array;
  readonly directory: Uint8Array;
}

export function derivePackKeys(
  repositoryId: RepositoryId,
  generation: GenerationKeys,
  pack: { kind: PackKind; salt: Uint8Array },
): PackKeys {
  const derive = (label: 'frame' | 'directory', keyClass: KeyClass): Uint8Array =>
    deriveObjectKey(repositoryId, generation, { class: keyClass, label, ...pack });
  const frameKeys = [derive('frame', KEY_CLASS.data), derive('frame', KEY_CLASS.metadata)];
  return {
    frame: (frameClass) => frameKeys[frameClass] as Uint8Array,
    directory: derive('directory', KEY_CLASS.control),
  };
}
