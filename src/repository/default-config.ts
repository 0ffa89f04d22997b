/** The parameters of a new repository, and of one whose config does not say otherwise. */
import { CHUNKER_NAME, DEFAULT_PROFILE } from '../chunk/profile.ts';
import { DEFAULT_PARAMETERS, type RepositoryConfig } from '../record/config.ts';

export const DEFAULT_CONFIG: RepositoryConfig = {
  ...DEFAULT_PARAMETERS,
  chunker: { name: CHUNKER_NAME, ...DEFAULT_PROFILE },
};
