/** Records about sessions: the intent, its heartbeats, and the fence that closes one for ever. */
import { demand } from '../util/byte-reader.ts';
import { encodeRecord, parseRecord } from './record.ts';
import { hexField, integerField, textField } from './record-fields.ts';

export type SessionPurpose = 'snapshot' | 'repack' | 'copy' | 'compact';
const PURPOSES: readonly string[] = ['snapshot', 'repack', 'copy', 'compact'];

export interface SessionRecord {
  sessionId: string;
  writerId: string;
  startedMs: number;
  host: string;
  program: string;
  purpose: SessionPurpose;
}

export function encodeSession(session: SessionRecord): Uint8Array {
  return encodeRecord('session', {
    session_id: session.sessionId,
    writer_id: session.writerId,
    started_ms: session.startedMs,
    host: session.host,
    program: session.program,
    purpose: session.purpose,
  });
}

export function parseSession(payload: Uint8Array): SessionRecord {
  const record = parseRecord(payload, 'session');
  const purpose = textField(record, 'purpose');
  demand(PURPOSES.includes(purpose), `purpose ${purpose}`);
  return {
    sessionId: hexField(record, 'session_id', 16),
    writerId: hexField(record, 'writer_id', 16),
    startedMs: integerField(record, 'started_ms'),
    host: textField(record, 'host'),
    program: textField(record, 'program'),
    purpose: purpose as SessionPurpose,
  };
}

export function encodeHeartbeat(sessionId: string, number: number): Uint8Array {
  return encodeRecord('heartbeat', { session_id: sessionId, number });
}

/** `closed`: by the session itself; `expired`: by a collector that waited for it in vain. */
export type FenceReason = 'closed' | 'expired';

export function encodeFence(reason: FenceReason): Uint8Array {
  return encodeRecord('fence', { reason });
}

export function parseFence(payload: Uint8Array): FenceReason {
  const reason = textField(parseRecord(payload, 'fence'), 'reason');
  demand(reason === 'closed' || reason === 'expired', `fence reason ${reason}`);
  return reason;
}
