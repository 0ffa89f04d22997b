/** Kinds of stored objects, as they stand in object headers (docs/repository-format.md section 2). */

export const OBJECT_KIND = {
  dataPack: 1,
  metadataPack: 2,
  segment: 3,
  snapshot: 4,
  fence: 5,
  tomb: 6,
  mark: 7,
  sweep: 8,
  session: 9,
  config: 10,
} as const;

export type ObjectKind = (typeof OBJECT_KIND)[keyof typeof OBJECT_KIND];
export type PackKind = typeof OBJECT_KIND.dataPack | typeof OBJECT_KIND.metadataPack;

/** Largest payload of a sealed JSON record and of an index segment, in bytes. */
export const RECORD_SIZE_MAX: number = 2 ** 24;
export const SEGMENT_SIZE_MAX: number = 2 ** 28;
