/** What those who make a data set are given. */
export interface Maker {
  /** Makes the directory of a version, a new one for each name. */
  makeVersion: (name: string) => string;
  /** A directory for what is in no version; removed in the end. */
  scratch: string;
}
