/**
 * What `check` reports. Each kind of damage has one name, used by the finding, the fixture and the
 * test alike.
 */
import type { SessionId } from '../id.ts';
import { equalBytes } from '../util/bytes.ts';

export type FindingKind =
  /**
   * A snapshot manifest, tomb, collector record, config, session record or index segment cannot be
   * read. A note where nothing depends on it any more.
   */
  | 'record-damaged'
  /** A key slot that nobody can open: its structure is damaged, or it belongs elsewhere. */
  | 'key-slot-damaged'
  /** A pack that the index names is not in the storage. */
  | 'pack-missing'
  /** A pack has another size than its record says. */
  | 'pack-size-mismatch'
  /** A pack's own directory cannot be read, or is not what the index segment says. */
  | 'pack-directory-damaged'
  /** `--read-data`: a pack's bytes are not what its name says, or a frame does not open. */
  | 'pack-damaged'
  /** `--read-data`: a blob has other content than its id says. */
  | 'blob-damaged'
  /** `--read-data`: a delta has lost its base. A note: no snapshot needs it, or the trees say which. */
  | 'delta-stranded'
  /** A live blob has no copy at all. */
  | 'blob-missing'
  /** A live blob has copies, none of which can be decoded. */
  | 'blob-unreadable'
  /** A tree page, chunk list or attribute blob is intact and yet breaks the rules of the format. */
  | 'tree-malformed'
  /** A chunk's recorded length differs from its blob's. */
  | 'chunk-length-mismatch'
  /** A node has a field of a later version that must be understood. */
  | 'node-refused'
  /** Records this client has seen are gone. */
  | 'repository-rolled-back'
  /**
   * A pack that no index segment names. A note where its session is running or was killed; damage
   * where that session has a snapshot, since it named all its packs before: the segment is lost.
   */
  | 'pack-unindexed'
  /** A file that is none of the repository; it is left alone. Always a note. */
  | 'foreign-file';

/** `damage` makes `check` fail; `note` is told and costs nothing. */
export type Severity = 'damage' | 'note';

export interface Finding {
  kind: FindingKind;
  severity: Severity;
  /** Storage name of the object, or the id of the blob. */
  object: string;
  message: string;
  /** Snapshots hurt by it, where that is known. */
  snapshots: SessionId[];
  /** Paths hurt by it, at most `PATH_SAMPLE_COUNT_MAX`, each as raw bytes. */
  paths: Uint8Array[];
  /** The command that heals it, with words in capitals to be filled in; undefined where none does. */
  heal: string | undefined;
}

const PATH_SAMPLE_COUNT_MAX = 20;

/** What is known of a finding when it is made; `judge-findings.ts` completes it. */
export interface NewFinding extends Pick<Finding, 'kind' | 'object' | 'message'> {
  severity?: Severity | undefined;
  heal?: string | undefined;
}

/** A blob that some snapshot needs. */
function isUnreadable({ kind }: Finding): boolean {
  return kind === 'blob-unreadable';
}

/** Gathers findings: one per kind and object, with the snapshots and paths it hurts. */
export class Findings {
  readonly #byKey = new Map<string, Finding>();

  get all(): Finding[] {
    const findings = [...this.#byKey.values()];
    const needed = new Set(findings.filter(isUnreadable).map(({ object }) => object));
    return findings.map((finding) => {
      const isHurting = finding.kind === 'delta-stranded' && needed.has(finding.object);
      return isHurting ? { ...finding, kind: 'blob-damaged', severity: 'damage' } : finding;
    });
  }

  add(found: NewFinding, hurt?: { snapshot: SessionId; path?: Uint8Array }): void {
    const key = `${found.kind} ${found.object}`;
    const finding = this.#byKey.get(key) ?? {
      ...found,
      severity: found.severity ?? 'damage',
      heal: found.heal,
      snapshots: [],
      paths: [],
    };
    this.#byKey.set(key, finding);
    if (hurt === undefined) return;
    if (!finding.snapshots.includes(hurt.snapshot)) finding.snapshots.push(hurt.snapshot);
    const { path } = hurt;
    if (path === undefined || finding.paths.length === PATH_SAMPLE_COUNT_MAX) return;
    if (!finding.paths.some((known) => equalBytes(known, path))) finding.paths.push(path);
  }
}
