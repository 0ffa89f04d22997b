/** What all repairs take and give. */
import type { LongCall } from '../../progress.ts';

export interface RepairOptions<Plan> extends LongCall {
  /** Say what would be done and write nothing. */
  isDryRun?: boolean | undefined;
  /** Asked with what would be done, before anything is written; false: nothing is. */
  confirm?: ((plan: Plan) => Promise<boolean>) | undefined;
}

export interface Repair {
  /** False where nothing was written: in a dry run, without consent, or for want of anything to do. */
  isApplied: boolean;
}

/** Whether a plan is to be carried out. */
export async function isWanted<Plan>(
  plan: Plan,
  { isDryRun = false, confirm = async () => true }: RepairOptions<Plan>,
): Promise<boolean> {
  return !isDryRun && (await confirm(plan));
}
