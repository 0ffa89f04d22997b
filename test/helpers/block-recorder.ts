/**
 * A block device that remembers every write and every flush, in order: a server of the NBD protocol
 * with the disk in memory. `nbdfuse` makes a file of it, and a loop device over that file is what a
 * real file system is put on. Requests of one connection are served one after the other, so a flush
 * is answered when every write that was answered before it is in the log.
 */
import { createServer, type Server, type Socket } from 'node:net';

/** A flush, where there are no bytes. */
export interface BlockRequest {
  readonly offset: number;
  readonly bytes: Buffer | undefined;
}

const INIT_MAGIC = 0x4e42444d41474943n; // "NBDMAGIC"
const OPTION_MAGIC = 0x49484156454f5054n; // "IHAVEOPT"
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;

/** Fixed newstyle, and no zeroes after the export. */
const HANDSHAKE_FLAGS = 1 | 2;
/** Flags are there; flush and "force unit access" are known. */
const EXPORT_FLAGS = 1 | 4 | 8;
const OPTION = { abort: 2, info: 6, go: 7 } as const;
const REPLY = { ack: 1, info: 3, unsupported: 0x80000001 } as const;
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;
const FORCE_UNIT_ACCESS = 1;
const ERROR_INVALID = 22;

const OPTION_HEADER_SIZE = 16;
const REQUEST_SIZE = 28;

export class BlockRecorder {
  readonly log: BlockRequest[] = [];
  readonly #disk: Buffer;
  readonly #server: Server;

  constructor(size: number) {
    this.#disk = Buffer.alloc(size);
    this.#server = createServer((socket) => new Connection(socket, this.#disk, this.log));
  }

  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(path, resolve);
    });
  }

  close(): void {
    this.#server.close();
  }
}

type Phase = 'flags' | 'options' | 'requests';

/** One client: bytes come in pieces of any size and are taken when a whole message is there. */
class Connection {
  readonly #socket: Socket;
  readonly #disk: Buffer;
  readonly #log: BlockRequest[];
  #input: Buffer = Buffer.alloc(0);
  #phase: Phase = 'flags';

  constructor(socket: Socket, disk: Buffer, log: BlockRequest[]) {
    this.#socket = socket;
    this.#disk = disk;
    this.#log = log;
    socket.on('error', () => socket.destroy());
    socket.on('data', (piece: Buffer) => {
      this.#input = this.#input.length === 0 ? piece : Buffer.concat([this.#input, piece]);
      while (this.#take()) {}
    });
    const greeting = Buffer.alloc(18);
    greeting.writeBigUInt64BE(INIT_MAGIC, 0);
    greeting.writeBigUInt64BE(OPTION_MAGIC, 8);
    greeting.writeUInt16BE(HANDSHAKE_FLAGS, 16);
    socket.write(greeting);
  }

  /** Whether there was a whole message. */
  #take(): boolean {
    if (this.#phase === 'flags') return this.#takeFlags();
    return this.#phase === 'options' ? this.#takeOption() : this.#takeRequest();
  }

  /** The next `size` bytes; undefined while they are not all there. */
  #next(size: number): Buffer | undefined {
    if (this.#input.length < size) return undefined;
    const message = this.#input.subarray(0, size);
    this.#input = this.#input.subarray(size);
    return message;
  }

  #takeFlags(): boolean {
    if (this.#next(4) === undefined) return false;
    this.#phase = 'options';
    return true;
  }

  #takeOption(): boolean {
    if (this.#input.length < OPTION_HEADER_SIZE) return false;
    const length = this.#input.readUInt32BE(12);
    const message = this.#next(OPTION_HEADER_SIZE + length);
    if (message === undefined) return false;
    const option = message.readUInt32BE(8);
    if (option === OPTION.go || option === OPTION.info) {
      const info = Buffer.alloc(12);
      info.writeBigUInt64BE(BigInt(this.#disk.length), 2);
      info.writeUInt16BE(EXPORT_FLAGS, 10);
      this.#answerOption(option, REPLY.info, info);
      this.#answerOption(option, REPLY.ack);
      if (option === OPTION.go) this.#phase = 'requests';
    } else {
      this.#answerOption(option, option === OPTION.abort ? REPLY.ack : REPLY.unsupported);
    }
    return true;
  }

  #answerOption(option: number, type: number, content: Buffer = Buffer.alloc(0)): void {
    const header = Buffer.alloc(20);
    header.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(content.length, 16);
    this.#socket.write(Buffer.concat([header, content]));
  }

  #takeRequest(): boolean {
    if (this.#input.length < REQUEST_SIZE) return false;
    if (this.#input.readUInt32BE(0) !== REQUEST_MAGIC) {
      this.#socket.destroy();
      return false;
    }
    const command = this.#input.readUInt16BE(6);
    const length = this.#input.readUInt32BE(24);
    const message = this.#next(REQUEST_SIZE + (command === COMMAND.write ? length : 0));
    if (message === undefined) return false;
    this.#serve(message, { command, length });
    return true;
  }

  #serve(message: Buffer, { command, length }: { command: number; length: number }): void {
    const flags = message.readUInt16BE(4);
    const offset = Number(message.readBigUInt64BE(16));
    if (command === COMMAND.disconnect) {
      this.#socket.end();
      return;
    }
    if (command === COMMAND.read) {
      this.#answer(message, 0, this.#disk.subarray(offset, offset + length));
      return;
    }
    if (command === COMMAND.write) {
      const bytes = Buffer.from(message.subarray(REQUEST_SIZE));
      bytes.copy(this.#disk, offset);
      this.#log.push({ offset, bytes });
    }
    const isFlush = command === COMMAND.flush || (flags & FORCE_UNIT_ACCESS) !== 0;
    if (isFlush) this.#log.push({ offset: 0, bytes: undefined });
    const isKnown = command === COMMAND.write || command === COMMAND.flush;
    this.#answer(message, isKnown ? 0 : ERROR_INVALID);
  }

  #answer(request: Buffer, error: number, content?: Buffer): void {
    const header = Buffer.alloc(16);
    header.writeUInt32BE(REPLY_MAGIC, 0);
    header.writeUInt32BE(error, 4);
    request.copy(header, 8, 8, 16);
    this.#socket.write(content === undefined ? header : Buffer.concat([header, content]));
  }
}
