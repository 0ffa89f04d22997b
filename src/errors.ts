/**
 * Operating errors: what can go wrong without anybody having made a programming mistake. Ten
 * classes, told apart by `instanceof` or by their stable `code`, never by message. Messages say
 * `Cannot <verb> <kind> "<which>": <found>, expected <wanted>`; advice is the front end's affair.
 */

export abstract class VarveError extends Error {
  abstract readonly code: string;
  constructor(name: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = name;
  }
}

/** A snapshot, object, path or source that was asked for does not exist. */
export class NotFoundError extends VarveError {
  readonly code = 'NOT_FOUND';
  readonly kind: string;
  readonly which: string;
  constructor(
    kind: string,
    which: string,
    message = `Cannot find ${kind} "${which}"`,
    cause?: unknown,
  ) {
    super('NotFoundError', message, cause);
    this.kind = kind;
    this.which = which;
  }
}

/** There is nothing to open at this storage location. */
export class NoRepositoryError extends VarveError {
  readonly code = 'NO_REPOSITORY';
  readonly location: string;
  constructor(location: string, found = 'no "config" there', cause?: unknown) {
    super('NoRepositoryError', `Cannot open repository "${location}": ${found}`, cause);
    this.location = location;
  }
}

/** `init` on top of a repository, or of anything else that is not empty. */
export class RepositoryExistsError extends VarveError {
  readonly code = 'REPOSITORY_EXISTS';
  readonly location: string;
  constructor(location: string, found = 'there is one already') {
    super('RepositoryExistsError', `Cannot create repository "${location}": ${found}`);
    this.location = location;
  }
}

/** A format, schema or feature this program does not know. */
export class VersionError extends VarveError {
  readonly code = 'UNSUPPORTED_VERSION';
  readonly found: string;
  readonly supported: string;
  constructor(what: string, found: string, supported: string) {
    super('VersionError', `Cannot use ${what}: found ${found}, this program supports ${supported}`);
    this.found = found;
    this.supported = supported;
  }
}

/** No key slot opens with what was given. */
export class KeyError extends VarveError {
  readonly code = 'WRONG_KEY';
  constructor(message: string, cause?: unknown) {
    super('KeyError', message, cause);
  }
}

/** Another session excludes this one, or fenced it. */
export class BusyError extends VarveError {
  readonly code = 'BUSY';
  readonly session: string;
  readonly sinceMs: number | undefined;
  constructor(session: string, message: string, sinceMs?: number) {
    super('BusyError', message);
    this.session = session;
    this.sinceMs = sinceMs;
  }
}

export interface CorruptionDetail {
  /** What kind of object: "pack", "index segment", "tree page", … */
  kind: string;
  /** Its name or id. */
  which: string;
  found: string;
  expected: string;
  /** Bytes from the start of the object, where known. */
  offset?: number;
}

/** Bytes are not what their name, tag or record says. */
export class CorruptionError extends VarveError {
  readonly code = 'CORRUPT';
  readonly kind: string;
  readonly which: string;
  readonly found: string;
  readonly expected: string;
  readonly offset: number | undefined;
  constructor(detail: CorruptionDetail, cause?: unknown) {
    const { kind, which, found, expected, offset } = detail;
    const at = offset === undefined ? '' : ` at offset ${offset}`;
    super(
      'CorruptionError',
      `Cannot read ${kind} "${which}"${at}: ${found}, expected ${expected}`,
      cause,
    );
    this.kind = kind;
    this.which = which;
    this.found = found;
    this.expected = expected;
    this.offset = offset;
  }
}

/** The storage backend failed. */
export class StorageError extends VarveError {
  readonly code = 'STORAGE';
  readonly operation: string;
  readonly which: string;
  readonly isTransient: boolean;
  constructor(
    operation: string,
    which: string,
    found: string,
    options: { isTransient?: boolean; cause?: unknown } = {},
  ) {
    super('StorageError', `Cannot ${operation} "${which}": ${found}`, options.cause);
    this.operation = operation;
    this.which = which;
    this.isTransient = options.isTransient ?? false;
  }
}

/** An entry of the source cannot be read; collected, the snapshot goes on. */
export class SourceError extends VarveError {
  readonly code = 'SOURCE';
  readonly path: Uint8Array;
  readonly operation: string;
  /** Stable reason: "permission", "vanished", "io", "file_changed", "missing", … */
  readonly reason: string;
  constructor(
    path: Uint8Array,
    operation: string,
    reason: string,
    message: string,
    cause?: unknown,
  ) {
    super('SourceError', message, cause);
    this.path = path;
    this.operation = operation;
    this.reason = reason;
  }
}

/** A restore target cannot be written, or would escape; collected, the restore goes on. */
export class TargetError extends VarveError {
  readonly code = 'TARGET';
  readonly path: Uint8Array;
  readonly operation: string;
  readonly reason: string;
  constructor(
    path: Uint8Array,
    operation: string,
    reason: string,
    message: string,
    cause?: unknown,
  ) {
    super('TargetError', message, cause);
    this.path = path;
    this.operation = operation;
    this.reason = reason;
  }
}

/** Errno text of a Node system error ("ENOENT", …), or undefined for any other value. */
export function errnoCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** An error as it crosses from one thread to another. */
export interface PackedError {
  readonly className: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Own fields, which must be plain data. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly cause: PackedError | undefined;
}

const classes: readonly { readonly prototype: object; readonly name: string }[] = [
  NotFoundError,
  NoRepositoryError,
  RepositoryExistsError,
  VersionError,
  KeyError,
  BusyError,
  CorruptionError,
  StorageError,
  SourceError,
  TargetError,
];

/** What a structured clone would lose of an error: its class, its fields, its cause. */
export function packError(error: unknown): PackedError {
  if (!(error instanceof Error)) {
    return {
      className: 'Error',
      message: String(error),
      stack: undefined,
      fields: {},
      cause: undefined,
    };
  }
  const { message, stack, cause, ...fields } = error;
  return {
    className: error instanceof VarveError ? error.name : 'Error',
    message: error.message,
    stack: error.stack,
    fields,
    cause: error.cause === undefined ? undefined : packError(error.cause),
  };
}

export function unpackError(packed: PackedError): Error {
  const { className, message, stack, fields, cause } = packed;
  const known = classes.find(({ name }) => name === className);
  const error: Error = Object.create(known?.prototype ?? Error.prototype);
  const own = { message, stack, ...(cause !== undefined && { cause: unpackError(cause) }) };
  for (const [key, value] of Object.entries(own)) {
    Object.defineProperty(error, key, { value, writable: true, configurable: true });
  }
  return Object.assign(error, fields);
}
