/**
 * What the JSON lines of the command hold, written down by hand: fields of every event with their
 * types. Every line that a test gets from the command is held against it (`run-varve.ts`), so that
 * a field cannot change, appear or go away unnoticed.
 */

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{9}Z$/;
const BASE_64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const BEYOND_EXACT = /^[1-9]\d{15,38}$/;

type Is = (value: unknown) => boolean;
const isText: Is = (value) => typeof value === 'string';
const isTextLike =
  (pattern: RegExp): Is =>
  (value) =>
    typeof value === 'string' && pattern.test(value);
const isListOf =
  (isItem: Is): Is =>
  (value) =>
    Array.isArray(value) && value.every(isItem);

type ValueType =
  | 'text'
  | 'texts'
  | 'outside'
  | 'outsides'
  | 'flag'
  | 'count'
  | 'seconds'
  | 'factor'
  | 'share'
  | 'time'
  | 'code'
  | 'id'
  | 'ids'
  | 'longId'
  | 'longIds'
  | 'ranges';

const types: Readonly<Record<ValueType, Is>> = {
  text: isText,
  texts: isListOf(isText),
  /** Text from outside: exact under the same name with `_b64` where it is not UTF-8. */
  outside: isText,
  outsides: isListOf(isText),
  flag: (value: unknown) => typeof value === 'boolean',
  count: (value: unknown) =>
    (Number.isSafeInteger(value) && (value as number) >= 0) || isTextLike(BEYOND_EXACT)(value),
  seconds: (value: unknown) => typeof value === 'number' && value >= 0,
  factor: (value: unknown) => typeof value === 'number' && value >= 0,
  share: (value: unknown) => typeof value === 'number' && value >= 0 && value <= 1,
  time: isTextLike(RFC_3339),
  code: isTextLike(/^[a-z][a-z_]*$/),
  id: isTextLike(/^[0-9a-f]{32}$/),
  ids: isListOf(isTextLike(/^[0-9a-f]{32}$/)),
  longId: isTextLike(/^[0-9a-f]{64}$/),
  longIds: isListOf(isTextLike(/^[0-9a-f]{64}$/)),
  /** Snapshots of one host and source that follow each other. */
  ranges: isListOf((value) => fieldFaults(value as Record<string, unknown>, range).length === 0),
};

type FieldType = ValueType | Fields;
export interface Fields {
  readonly [name: string]: FieldType;
}

const range: Fields = {
  hostname: 'outside',
  source: 'outside',
  first: 'id',
  first_time: 'time',
  last: 'id',
  last_time: 'time',
  count: 'count',
};

/** A name that ends in `?` may be missing. */
export const events: Readonly<Record<string, Fields>> = {
  status: {
    phase: 'code',
    seconds_elapsed: 'seconds',
    'seconds_remaining?': 'seconds',
    'percent_done?': 'share',
    'files_done?': 'count',
    'files_restored?': 'count',
    'total_files?': 'count',
    'bytes_done?': 'count',
    'bytes_restored?': 'count',
    'total_bytes?': 'count',
    error_count: 'count',
    'current_files?': 'outsides',
  },
  verbose_status: { action: 'code', item: 'outside', data_size: 'count' },
  error: { error: { message: 'text' }, during: 'text', code: 'code', item: 'outside' },
  initialized: { id: 'longId', repository: 'text', key_slot: 'text', 'recover?': 'text' },
  snapshot: {
    id: 'id',
    short_id: 'text',
    time: 'time',
    'parent?': 'id',
    hostname: 'outside',
    username: 'outside',
    source: 'outside',
    paths: 'outsides',
    tags: 'texts',
    partial: 'flag',
    size: 'count',
    'forgotten_time?': 'time',
    summary: {
      backup_start: 'time',
      backup_end: 'time',
      'files_new?': 'count',
      'files_changed?': 'count',
      'files_unmodified?': 'count',
      total_files_processed: 'count',
      total_bytes_processed: 'count',
      data_blobs: 'count',
      data_added: 'count',
      error_count: 'count',
    },
  },
  node: {
    name: 'outside',
    type: 'code',
    path: 'outside',
    'uid?': 'count',
    'gid?': 'count',
    'user?': 'outside',
    'group?': 'outside',
    'size?': 'count',
    mode: 'count',
    permissions: 'text',
    mtime: 'time',
    ctime: 'time',
    'inode?': 'count',
    'linktarget?': 'outside',
    'link_group?': 'text',
    'device?': { major: 'count', minor: 'count' },
  },
  match: {
    name: 'outside',
    type: 'code',
    path: 'outside',
    'uid?': 'count',
    'gid?': 'count',
    'user?': 'outside',
    'group?': 'outside',
    'size?': 'count',
    mode: 'count',
    permissions: 'text',
    mtime: 'time',
    ctime: 'time',
    'inode?': 'count',
    'linktarget?': 'outside',
    'link_group?': 'text',
    'device?': { major: 'count', minor: 'count' },
    snapshots: 'ranges',
  },
  version: {
    path: 'outside',
    change: 'code',
    'version?': 'count',
    ...range,
    'type?': 'code',
    'uid?': 'count',
    'gid?': 'count',
    'user?': 'outside',
    'group?': 'outside',
    'size?': 'count',
    'mode?': 'count',
    'permissions?': 'text',
    'mtime?': 'time',
    'ctime?': 'time',
    'inode?': 'count',
    'linktarget?': 'outside',
    'link_group?': 'text',
    'device?': { major: 'count', minor: 'count' },
  },
  change: {
    path: 'outside',
    modifier: 'text',
    type: 'code',
    'size_before?': 'count',
    'size?': 'count',
    'metadata?': 'texts',
  },
  forgotten: {
    code: 'count',
    dry_run: 'flag',
    done: 'flag',
    forgotten: 'count',
    kept: 'count',
    error_count: 'count',
  },
  retention: {
    id: 'id',
    short_id: 'text',
    time: 'time',
    hostname: 'outside',
    source: 'outside',
    tags: 'texts',
    keep: 'flag',
    reasons: 'texts',
  },
  snapshot_size: {
    id: 'id',
    short_id: 'text',
    time: 'time',
    hostname: 'outside',
    source: 'outside',
    raw_size: 'count',
    exclusive_size: 'count',
    exclusive_blob_count: 'count',
  },
  directory_size: {
    path: 'outside',
    raw_size: 'count',
    exclusive_size: 'count',
    exclusive_blob_count: 'count',
  },
  key: {
    id: 'id',
    short_id: 'text',
    current: 'flag',
    kind: 'code',
    'found?': 'text',
    created: 'time',
  },
  session: {
    id: 'id',
    short_id: 'text',
    writer_id: 'id',
    hostname: 'text',
    program: 'text',
    purpose: 'text',
    started: 'time',
    last_sign: 'time',
    state: 'code',
  },
  pack: { id: 'longId', kind: 'code', reason: 'code', size: 'count', live_size: 'count' },
  plan: {
    snapshots_count: 'count',
    grace_snapshots_count: 'count',
    blobs: 'count',
    total_packs: 'count',
    total_size: 'count',
    dead_packs: 'count',
    dead_size: 'count',
    repack_packs: 'count',
    repack_size: 'count',
    repack_live_size: 'count',
    unindexed_packs: 'count',
    unindexed_size: 'count',
    earlier_packs: 'count',
    earlier_size: 'count',
    freed_size: 'count',
    waste_left: 'count',
    limited: 'flag',
  },
  waiting: {
    id: 'id',
    short_id: 'text',
    'hostname?': 'text',
    'writer_id?': 'id',
    last_sign: 'time',
  },
  finding: {
    kind: 'text',
    severity: 'code',
    object: 'text',
    message: 'text',
    'heal?': 'text',
    snapshots: 'ids',
    paths: 'outsides',
  },
  lost_blob: { id: 'longId', message: 'text', snapshots: 'ids', paths: 'outsides' },
  repaired_snapshot: { id: 'id', 'repaired_id?': 'id', lost_count: 'count' },
  changed: { old_snapshot_id: 'id', new_snapshot_id: 'id', tags: 'texts' },
  rewritten_snapshot: {
    id: 'id',
    'rewritten_id?': 'id',
    dropped_files: 'count',
    dropped_directories: 'count',
    dropped_others: 'count',
    dropped_bytes: 'count',
  },
  lost_entry: { id: 'id', code: 'code', item: 'outside' },
  benchmark: {
    name: 'code',
    version: 'text',
    'raw_size?': 'count',
    'stored_size?': 'count',
    'stored_factor?': 'factor',
    'save_seconds?': 'seconds',
    'unchanged_seconds?': 'seconds',
    'restore_seconds?': 'seconds',
    'restore_middle_seconds?': 'seconds',
    'failure?': 'text',
  },
  exit_error: { code: 'count', error_code: 'code', message: 'text', 'advice?': 'text' },
};

/** What is stored, from the raw data down to what compression leaves. */
const storedSizes = {
  raw_size: 'count',
  unique_size: 'count',
  'unique_factor?': 'factor',
  delta_size: 'count',
  'delta_factor?': 'factor',
  delta_blob_count: 'count',
  delta_raw_size: 'count',
  delta_stored_size: 'count',
  compressed_size: 'count',
  'compressed_factor?': 'factor',
} as const;

/** Of the line that ends each command. */
export const summaries: Readonly<Record<string, Fields>> = {
  init: { code: 'count' },
  snapshot: {
    code: 'count',
    dry_run: 'flag',
    'snapshot_id?': 'id',
    forgotten: 'flag',
    'parent?': 'id',
    files_new: 'count',
    files_changed: 'count',
    files_unmodified: 'count',
    total_files_processed: 'count',
    total_directories_processed: 'count',
    total_others_processed: 'count',
    total_excluded: 'count',
    total_bytes_processed: 'count',
    bytes_read: 'count',
    data_blobs: 'count',
    data_added: 'count',
    delta_blobs: 'count',
    data_delta: 'count',
    data_delta_encoded: 'count',
    data_compressed: 'count',
    data_added_packed: 'count',
    error_count: 'count',
    total_duration: 'seconds',
  },
  snapshots: { code: 'count', snapshots: 'count', error_count: 'count' },
  ls: { code: 'count', entries: 'count' },
  dump: { code: 'count', size: 'count', error_count: 'count' },
  find: { code: 'count', paths: 'count', snapshots: 'count', error_count: 'count' },
  history: { code: 'count', versions: 'count', snapshots: 'count', error_count: 'count' },
  diff: {
    code: 'count',
    source_snapshot: 'id',
    'target_snapshot?': 'id',
    added: { files: 'count', dirs: 'count', others: 'count', bytes: 'count' },
    removed: { files: 'count', dirs: 'count', others: 'count', bytes: 'count' },
    changed_files: 'count',
    changed_others: 'count',
    changed_bytes_before: 'count',
    changed_bytes: 'count',
    changed_types: 'count',
    changed_metadata: 'count',
    error_count: 'count',
  },
  restore: {
    code: 'count',
    files_restored: 'count',
    directories_restored: 'count',
    others_restored: 'count',
    entries_kept: 'count',
    bytes_restored: 'count',
    owner_not_set: 'count',
    xattrs_left_out: 'count',
    error_count: 'count',
    seconds_elapsed: 'seconds',
    total_duration: 'seconds',
  },
  forget: {
    code: 'count',
    dry_run: 'flag',
    done: 'flag',
    forgotten: 'count',
    kept: 'count',
    error_count: 'count',
  },
  undelete: {
    code: 'count',
    snapshot_id: 'id',
    forgotten_id: 'id',
    forgotten: 'flag',
    data_blobs: 'count',
    data_added: 'count',
    data_added_packed: 'count',
  },
  tag: { code: 'count', changed_snapshots: 'count', unchanged_snapshots: 'count' },
  rewrite: {
    code: 'count',
    dry_run: 'flag',
    applied: 'flag',
    forgotten: 'flag',
    snapshots: 'count',
    unchanged_snapshots: 'count',
    error_count: 'count',
  },
  prune: {
    code: 'count',
    dry_run: 'flag',
    outcome: 'code',
    'generation?': 'count',
    run_again: 'flag',
    deleted_packs: 'count',
    deleted_size: 'count',
    repack_packs: 'count',
    repack_size: 'count',
    repack_live_size: 'count',
    waste_left: 'count',
    fenced: 'ids',
    waiting_count: 'count',
    total_duration: 'seconds',
  },
  check: {
    code: 'count',
    num_errors: 'count',
    broken_packs: 'longIds',
    num_notes: 'count',
    snapshots: 'count',
    packs: 'count',
    entries: 'count',
    packs_read: 'count',
    bytes_read: 'count',
    packs_unread: 'count',
    'oldest_read?': 'time',
    total_duration: 'seconds',
  },
  stats: {
    code: 'count',
    snapshots_count: 'count',
    total_file_count: 'count',
    total_directory_count: 'count',
    total_other_count: 'count',
    total_blob_count: 'count',
    ...storedSizes,
    'pack_count?': 'count',
    'stored_size?': 'count',
    'stored_factor?': 'factor',
  },
  du: { code: 'count', 'snapshots?': 'count', 'directories?': 'count' },
  benchmark: {
    code: 'count',
    versions: 'count',
    ...storedSizes,
    stored_size: 'count',
    'stored_factor?': 'factor',
    not_found: 'texts',
    error_count: 'count',
  },
  'key list': { code: 'count', key_slots: 'count' },
  'key add': { code: 'count', key_slot: 'text' },
  'key remove': { code: 'count', 'key_slot?': 'text' },
  'key passwd': {
    code: 'count',
    key_slot: 'text',
    removed_key_slot: 'text',
    other_key_slots: 'count',
  },
  'repair index': {
    code: 'count',
    dry_run: 'flag',
    applied: 'flag',
    packs: 'texts',
    suspects: 'texts',
    error_count: 'count',
  },
  'repair packs': {
    code: 'count',
    dry_run: 'flag',
    applied: 'flag',
    healed_from_repository: 'count',
    healed_from_live: 'count',
    healed_from_other: 'count',
    stored_size: 'count',
    error_count: 'count',
  },
  'repair snapshots': {
    code: 'count',
    dry_run: 'flag',
    applied: 'flag',
    snapshots: 'count',
    repaired_before: 'ids',
    error_count: 'count',
  },
  sessions: { code: 'count', sessions: 'count', error_count: 'count' },
  'rebuild-index': {
    code: 'count',
    packs: 'count',
    blobs: 'count',
    segments: 'count',
    error_count: 'count',
  },
};

/** Commands of two words. */
const subcommands = /\b(?:key (?:list|add|remove|passwd)|repair (?:index|packs|snapshots))\b/;

const aliases: Readonly<Record<string, string>> = {
  backup: 'snapshot',
  create: 'snapshot',
  list: 'snapshots',
  extract: 'restore',
  gc: 'prune',
  compact: 'prune',
};

/** The command among arguments, by its own name. */
export function commandOf(args: readonly string[]): string | undefined {
  const [subcommand] = subcommands.exec(args.join(' ')) ?? [];
  if (subcommand !== undefined) return subcommand;
  return args.map((arg) => aliases[arg] ?? arg).find((arg) => Object.hasOwn(summaries, arg));
}

/** What is wrong with a line that a command has printed. */
export function lineFaults(command: string | undefined, line: object): string[] {
  const { v, message_type: type, ...fields } = line as Record<string, unknown>;
  const described = type === 'summary' ? summaries[command ?? ''] : events[String(type)];
  if (described === undefined) return [`unknown event ${type} of ${command}`];
  return [...(v === 1 ? [] : [`version ${v}`]), ...fieldFaults(fields, described)].map(
    (fault) => `${type}: ${fault}`,
  );
}

function fieldFaults(values: Record<string, unknown>, described: Fields): string[] {
  const faults: string[] = [];
  const unseen = new Set(Object.keys(values));
  for (const [key, type] of Object.entries(described)) {
    const name = key.replace(/\?$/, '');
    const value = values[name];
    unseen.delete(name);
    if (value === undefined && !key.endsWith('?')) faults.push(`no ${name}`);
    if (value === undefined) continue;
    faults.push(...valueFaults(name, value, type));
    if (type === 'outside' || type === 'outsides') {
      unseen.delete(`${name}_b64`);
      faults.push(...exactFaults(name, value, values[`${name}_b64`]));
    }
  }
  return [...faults, ...[...unseen].map((name) => `unknown ${name}`)];
}

function valueFaults(name: string, value: unknown, type: FieldType): string[] {
  if (typeof type === 'string') {
    return types[type](value) ? [] : [`${name} is no ${type}: ${JSON.stringify(value)}`];
  }
  if (typeof value !== 'object' || value === null) return [`${name} is no object`];
  return fieldFaults(value as Record<string, unknown>, type).map((fault) => `${name}: ${fault}`);
}

/** The bytes must be there when the text cannot be all, and read as the text. */
function exactFaults(name: string, value: unknown, exact: unknown): string[] {
  const texts = Array.isArray(value) ? value : [value];
  if (exact === undefined) {
    return texts.some((text) => String(text).includes('\ufffd')) ? [`no ${name}_b64`] : [];
  }
  const list = Array.isArray(exact) ? exact : [exact];
  const isExact = list.every(
    (bytes, i) =>
      isTextLike(BASE_64)(bytes) && Buffer.from(bytes, 'base64').toString() === texts[i],
  );
  return isExact && list.length === texts.length ? [] : [`${name}_b64 is not ${name}`];
}
