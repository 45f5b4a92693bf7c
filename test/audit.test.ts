// The audit as a chain: each change adds one row, and no row can be edited, deleted or moved unseen (L12). On both engines.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import fc from 'fast-check';
import type { Updateable } from 'kysely';

import { type Audit, type AuditFault, openAudit } from '../src/audit/audit.ts';
import { type AuditRow, type Change, canonicalJson, hashOfRow } from '../src/domain/audit.ts';
import { appendAudit, auditStore } from '../src/store/audit.ts';
import type { Engine } from '../src/store/engine.ts';
import type { Schema } from '../src/store/schema.ts';
import { handClock, onBothEngines } from './support/engines.ts';

const change = (i: number): Change => ({
  actor: { id: i % 2 === 0 ? 'owner' : 'user_ann', address: '192.0.2.7' },
  action: 'updated',
  kind: 'budget',
  id: `budget_${i}`,
  before: i === 0 ? null : { limit: BigInt(i), tags: ['a'] },
  after: { limit: BigInt(i + 1), tags: ['a'] },
});

onBothEngines('the audit', (open) => {
  let engine: Engine;
  let audit: Audit;
  beforeEach(async () => {
    engine = await open(handClock());
    audit = openAudit(auditStore(engine));
  });
  afterEach(() => engine.close());

  /** Many in one go, as many changes of one transaction would. */
  const fill = (count: number) =>
    engine.db.transaction().execute(async (tx) => {
      for (let i = 1; i <= count; i++) await appendAudit(tx, engine, change(i));
    });
  const rows = () => auditStore(engine).readAfter(0, 5000);
  const edit = (seq: number, values: Updateable<Schema['audit']>) =>
    engine.db.updateTable('audit').set(values).where('seq', '=', seq).execute();
  const remove = (...seqs: number[]) => engine.db.deleteFrom('audit').where('seq', 'in', seqs).execute();
  const faults = async () => (await audit.verify()).faults.map(({ seq, what }) => `${seq} ${what}`);
  const asColumns = ({ id, before, after, ...row }: AuditRow) => ({
    ...row,
    object_id: id,
    before_digest: before,
    after_digest: after,
  });
  const asOutsiderWould = (row: AuditRow) => ({ ...row, hash: hashOfRow(row) });

  test('an empty chain is whole, and so is one of many pages', async () => {
    assert.deepEqual(await audit.verify(), { isWhole: true, rows: 0, head: { seq: 0, hash: '' }, faults: [] });
    await fill(2100);
    const report = await audit.verify();
    assert.deepEqual([report.isWhole, report.rows, report.head.seq], [true, 2100, 2100]);
  });

  test('a row tells who did what to which thing, from where and when, and digests of what was and is', async () => {
    const row = await audit.append(change(0));
    const { hash, after, ...told } = row;
    assert.deepEqual(told, {
      seq: 1,
      at: 1_750_000_000_000,
      actor: 'owner',
      address: '192.0.2.7',
      action: 'updated',
      kind: 'budget',
      id: 'budget_0',
      before: null,
      previous: '',
    });
    assert.match(hash, /^[0-9a-f]{64}$/);
    assert.match(after!, /^[0-9a-f]{64}$/);
    assert.deepEqual(await rows(), [row]);
  });

  test('changes made at once form one chain without gaps', async () => {
    await Promise.all(Array.from({ length: 40 }, (_, i) => audit.append(change(i))));
    const chain = await rows();
    assert.deepEqual(
      chain.map(({ seq }) => seq),
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    assert.ok((await audit.verify()).isWhole);
  });

  test('a change that is undone leaves no row', async () => {
    const undone = engine.db.transaction().execute(async (tx) => {
      await appendAudit(tx, engine, change(1));
      throw new Error('undone');
    });
    await assert.rejects(undone, /undone/);
    assert.deepEqual(await rows(), []);
    assert.ok((await audit.verify()).isWhole);
  });

  test('pages of the list, newest first, hold each row that the filter keeps once', async () => {
    await fill(7);
    const seen: number[] = [];
    let cursor: string | null = null;
    do {
      const page = await audit.list({ limit: 2, cursor }, { actor: 'user_ann', kind: 'budget' });
      seen.push(...page.data.map(({ seq }) => seq));
      cursor = page.nextCursor;
    } while (cursor !== null);
    assert.deepEqual(seen, [7, 5, 3, 1]);
    assert.deepEqual((await audit.list({ limit: 9, cursor: 'x' }, {})).data, []);
    assert.equal((await audit.list({ limit: 9, cursor: null }, { id: 'budget_4' })).data[0]?.seq, 4);
  });

  describe('a chain of twelve', () => {
    beforeEach(() => fill(12));

    const EDITS: readonly Updateable<Schema['audit']>[] = [
      { at: 1 },
      { actor: 'system' },
      { address: null },
      { address: '192.0.2.8' },
      { action: 'created' },
      { kind: 'key' },
      { object_id: 'budget_x' },
      { before_digest: null },
      { after_digest: '0'.repeat(64) },
      { previous: '0'.repeat(64) },
      { hash: '0'.repeat(64) },
    ];
    test('tells the very row that was edited, whichever field and row it was', async () => {
      const chain = await rows();
      for (const [i, values] of EDITS.entries()) {
        for (const seq of [1, 2 + (i % 9), 12]) {
          await edit(seq, values);
          assert.deepEqual(await faults(), [`${seq} edited`], `${Object.keys(values).join()} of row ${seq}`);
          await edit(seq, asColumns(chain[seq - 1]!));
        }
      }
      assert.deepEqual(await faults(), []);
    });

    test('tells the row that was edited and sealed anew', async () => {
      const chain = await rows();
      for (const seq of [1, 6, 12]) {
        await edit(seq, asColumns(asOutsiderWould({ ...chain[seq - 1]!, actor: 'system' })));
        assert.deepEqual(await faults(), [`${seq} edited`]);
        await edit(seq, asColumns(chain[seq - 1]!));
      }
    });

    test('tells each row that was deleted, at the beginning, within and at the end', async () => {
      await remove(1, 5, 6, 12);
      assert.deepEqual(await faults(), ['1 deleted', '5 deleted', '6 deleted', '12 deleted']);
      assert.equal((await audit.verify()).rows, 8);
    });

    test('tells that all rows were deleted', async () => {
      await engine.db.deleteFrom('audit').execute();
      assert.equal((await faults()).length, 12);
    });

    test('tells rows that changed places, and which was where', async () => {
      const chain = await rows();
      await edit(4, { ...asColumns(chain[8]!), seq: 4 });
      await edit(9, { ...asColumns(chain[3]!), seq: 9 });
      const report = await audit.verify();
      assert.deepEqual(
        report.faults.map(({ message }: AuditFault) => message),
        ['row 4 holds what was row 9', 'row 9 holds what was row 4'],
      );
      assert.equal(report.isWhole, false);
    });

    test('tells a row that was deleted with all behind it moved up', async () => {
      await remove(10);
      await edit(11, { seq: 10 });
      await edit(12, { seq: 11 });
      assert.deepEqual(await faults(), ['10 moved', '11 moved', '12 deleted']);
    });

    test('tells a row that was put behind the end', async () => {
      const chain = await rows();
      const forged = asOutsiderWould({ ...chain[11]!, seq: 13, previous: chain[11]!.hash });
      await engine.db.insertInto('audit').values(asColumns(forged)).execute();
      assert.deepEqual(await faults(), ['13 added']);
    });

    test('goes on after a fault: later rows are no fault of theirs', async () => {
      await edit(3, { actor: 'system' });
      await audit.append(change(13));
      assert.deepEqual(await faults(), ['3 edited']);
    });
  });
});

test('equal values have one canonical text, and different ones never share it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      const isEqual = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
      assert.equal(canonicalJson(a) === canonicalJson(b), isEqual);
      assert.deepEqual(JSON.parse(canonicalJson(a)), JSON.parse(JSON.stringify(a)));
    }),
  );
  assert.equal(canonicalJson({ b: undefined, a: [1n, undefined] }), '{"a":["1",null]}');
});

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return ['a list', ...value.map(sorted)];
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return ['an object', ...members.map(([name, member]) => [name, sorted(member)])];
}
