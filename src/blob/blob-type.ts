/** Blob types; each has its own id key, so content of one can never pass as another. */

export const BLOB_TYPE = { data: 1, treePage: 2, chunkList: 3, attributes: 4 } as const;
export type BlobType = (typeof BLOB_TYPE)[keyof typeof BLOB_TYPE];

/** Largest plaintext of a blob in bytes; empty content has no blob. */
export const BLOB_SIZE_MAX: number = 2 ** 24;

export const BLOB_TYPE_NAMES: Readonly<Record<BlobType, string>> = {
  [BLOB_TYPE.data]: 'data chunk',
  [BLOB_TYPE.treePage]: 'tree page',
  [BLOB_TYPE.chunkList]: 'chunk list',
  [BLOB_TYPE.attributes]: 'attribute blob',
};
