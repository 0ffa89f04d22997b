/** What an operation is that is killed, failed and cut off from power (`fault-operations.ts`). */
import type { Repository } from '../../src/repository/repository.ts';
import type { ClientHome } from './fault-clients.ts';
import type { CommandEnded, FaultPlace } from './fault-place.ts';

export interface FaultOperation {
  readonly name: string;
  /** Brings an empty place to where the command starts. */
  prepare(place: FaultPlace): Promise<void>;
  /** Arguments of the command, in a place that was prepared. */
  command(place: FaultPlace): string[];
  readonly env?: Readonly<Record<string, string>>;
  /** How a run without a fault ends. Default: 0. */
  readonly code?: number;
  /** Many snapshots are needed to prepare it: nothing for the quick tests. */
  readonly isLong?: boolean;
  /**
   * Names of objects that the command may delete, beside records of sessions: what a client plans
   * that looks before the command is run.
   */
  deletes?(repository: Repository): Promise<ReadonlySet<string>>;
  /** Makes the source what the command is about to delete, for another client to save again. */
  revive?(place: FaultPlace): void;
  /** Before the command is run: what it may change without an acknowledgement. */
  begin?(place: FaultPlace): void;
  /** The command has ended as it does without a fault: what is promised from now on. */
  done?(place: FaultPlace): void;
  /** What a client does after a fault before all has to be well, such as to begin a repair again. */
  settle?(place: FaultPlace, home: ClientHome): Promise<void>;
  /** What else is wrong after a fault, one line each; the general oracle is asked afterwards. */
  findMore?(place: FaultPlace, ended: CommandEnded): Promise<string[]>;
}
