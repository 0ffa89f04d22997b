/** What is accepted, and when trials and features are left out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Acceptance } from '../../src/similarity/acceptance.ts';
import {
  FlatTrials,
  newProbeCounts,
  ProbeMode,
  RefusedTrials,
} from '../../src/similarity/guards.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const FRAME_SIZE = 2 ** 20;

test('Acceptance begins at 0.4 and follows full frames by an eighth', () => {
  const acceptance = new Acceptance();
  assert.equal(acceptance.ratio, 0.4);

  acceptance.noteFrame(FRAME_SIZE, FRAME_SIZE / 2);
  assert.ok(Math.abs(acceptance.ratio - 0.4125) < 1e-12);

  for (let i = 0; i < 100; i++) acceptance.noteFrame(FRAME_SIZE, FRAME_SIZE / 4);
  assert.ok(Math.abs(acceptance.ratio - 0.25) < 1e-5);
});

test('Acceptance has bounds that no run of frames passes', () => {
  const acceptance = new Acceptance();
  for (let i = 0; i < 100; i++) acceptance.noteFrame(FRAME_SIZE, 1);
  assert.equal(acceptance.ratio, 0.1);

  for (let i = 0; i < 100; i++) acceptance.noteFrame(FRAME_SIZE, 2 * FRAME_SIZE);
  assert.equal(acceptance.ratio, 1);
});

test('Acceptance stays between 0.1 and 1, and between what it was and the frame', () => {
  const frames = fc.array(fc.integer({ min: 1, max: 2 * FRAME_SIZE }), { maxLength: 100 });
  fc.assert(
    fc.property(frames, (storedSizes) => {
      const acceptance = new Acceptance();
      for (const storedSize of storedSizes) {
        const before = acceptance.ratio;
        const frame = Math.min(1, Math.max(0.1, storedSize / FRAME_SIZE));

        acceptance.noteFrame(FRAME_SIZE, storedSize);

        assert.ok(acceptance.ratio >= 0.1 && acceptance.ratio <= 1);
        if (storedSize > FRAME_SIZE || storedSize < FRAME_SIZE / 10) continue;
        assert.ok(acceptance.ratio >= Math.min(before, frame));
        assert.ok(acceptance.ratio <= Math.max(before, frame));
      }
    }),
    { seed: testSeed },
  );
});

test('Acceptance takes a delta of three quarters of the estimate, its record included', () => {
  const acceptance = new Acceptance();

  assert.equal(acceptance.accepts(3000 - 36, 10_000), true);
  assert.equal(acceptance.accepts(3000 - 35, 10_000), false);
  assert.equal(acceptance.accepts(9, 149), false);
  assert.equal(acceptance.accepts(9, 151), true);
});

/** Asks for so many chunks; of those whose features are wanted one in `per` becomes a delta. */
function probeChunks(probe: ProbeMode, count: number, per: number): boolean[] {
  let wanted = 0;
  return Array.from({ length: count }, () => {
    const isWanted = probe.next();
    if (isWanted && wanted++ % per === 0) probe.noteAccepted();
    return isWanted;
  });
}

test('ProbeMode asks for all features while enough chunks become deltas', () => {
  const probe = new ProbeMode(newProbeCounts());

  assert.ok(probeChunks(probe, 20_000, 49).every(Boolean));
});

test('ProbeMode asks for one in eight after 4,096 chunks with fewer deltas, until there are more', () => {
  const probe = new ProbeMode(newProbeCounts());

  assert.ok(probeChunks(probe, 4096, 51).every(Boolean));
  const periods = probeChunks(probe, 16 * 256, 60);
  for (let i = 0; i < 16; i++) {
    const period = periods.slice(256 * i, 256 * (i + 1));
    assert.ok(period.slice(0, 32).every(Boolean));
    assert.ok(!period.slice(32).some(Boolean));
  }
  // The next 512 probes are judged at the first chunk after them.
  const better = probeChunks(probe, 16 * 256, 20);
  assert.equal(better.filter(Boolean).length, 512);
  assert.ok(probeChunks(probe, 4096, 20).every(Boolean));
});

test('ProbeMode judges by what all of its counts were told', () => {
  const counts = newProbeCounts();
  const workers = [new ProbeMode(counts), new ProbeMode(counts)] as const;

  for (const worker of workers) assert.ok(probeChunks(worker, 2048, 60).every(Boolean));
  assert.equal(workers[1].next(), true, 'a run of probes begins');
  assert.equal(probeChunks(workers[0], 256, 60).filter(Boolean).length, 32);
});

test('RefusedTrials asks for two votes above a half of the last 64, until below a quarter', () => {
  const run = fc.array(fc.boolean(), { minLength: 40, maxLength: 40 });
  const runs = fc.array(fc.oneof(run, fc.constant(Array<boolean>(40).fill(false))));
  fc.assert(
    fc.property(runs, (all) => {
      const trials = new RefusedTrials();
      const told: boolean[] = [];
      let votesMin = 1;

      for (const isAccepted of all.flat()) {
        trials.note(isAccepted);
        told.push(isAccepted);
        const refused = told.slice(-64).filter((each) => !each).length;
        votesMin = refused > 32 ? 2 : refused < 16 ? 1 : votesMin;
        assert.equal(trials.votesMin, votesMin);
      }
    }),
    { seed: testSeed },
  );
});

test('RefusedTrials holds between a quarter and a half what it had', () => {
  const trials = new RefusedTrials();
  const note = (isAccepted: boolean, count: number): number => {
    for (let i = 0; i < count; i++) trials.note(isAccepted);
    return trials.votesMin;
  };

  assert.equal(note(false, 32), 1);
  assert.equal(note(false, 1), 2);
  assert.equal(note(true, 31), 2, 'the window is full now');
  assert.equal(note(true, 17), 2, '16 refused');
  assert.equal(note(true, 1), 1, '15 refused');
  assert.equal(note(false, 17), 1, 'of 64, 32 refused');
});

test('FlatTrials ends with the fourth refused trial', () => {
  const trials = new FlatTrials();

  for (let i = 0; i < 4; i++) {
    assert.equal(trials.isOver, false);
    trials.noteRefused();
  }

  assert.equal(trials.isOver, true);
});
