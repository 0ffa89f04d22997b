/**
 * Bugs that are planted into the compiled program while it is loaded, to show that a harness sees
 * what it is there to see. Nothing in `src` knows of them. An edit that does not fit exactly once
 * fails the program, so a bug cannot be left behind by a change of the code and be taken for caught.
 */
interface Edit {
  /** Below `dist/src`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const noFileSync: Edit = {
  file: 'storage/object-file.js',
  find: '    await file.sync();\n',
  replace: '',
};
const noDirectorySync: Edit = {
  file: 'storage/directory-sync.js',
  find: 'await handle.sync().finally(() => handle.close().catch(() => { }));',
  replace: 'await handle.close();',
};
const noSizeCheck: Edit = {
  file: 'storage/local-writer.js',
  find: 'if (kept.size !== size) {',
  replace: 'if (false) {',
};
/** Not a bug of the program but of the machine: a bit of a chunk changes after it was identified. */
const memoryFlip: Edit = {
  file: 'repository/pack-writer.js',
  find: '        const bytes = delta?.encoded ?? plaintext;\n',
  replace: `        const bytes = (delta?.encoded ?? plaintext).slice();
        if (type === BLOB_TYPE.data) bytes[bytes.length - 1] ^= 1;\n`,
};

export const PLANTED_BUGS: Readonly<Record<string, readonly Edit[]>> = {
  'files are not synced': [noFileSync],
  'directories are not synced': [noDirectorySync],
  'nothing is synced': [noFileSync, noDirectorySync],
  'an object has its name before its bytes': [
    {
      file: 'storage/local-writer.js',
      find: "            await pass('storage.put.before-link');",
      replace: "            await pass('storage.put.before-link'); if (true) return 'created';",
    },
    {
      file: 'storage/local-writer.js',
      find: 'const temporary = await this.#writeTemporary(bytes, signal);\n        return',
      replace: `await this.#root.make('tmp');
        const created = await this.#fs.create(this.#root.path(name)).catch(() => undefined);
        if (created === undefined) return 'exists';
        await withFile(created, async (file) => { await writeAll(file, bytes, signal); await finish(file); });
        const temporary = '';
        return`,
    },
  ],
  'the commit comes before its segments': [
    {
      file: 'repository/session.js',
      find: "        await this.#segments.publish();\n        await pass('session.5.before');",
      replace: "        await pass('session.5.before');",
    },
    {
      file: 'repository/session.js',
      find: 'const head = await this.#putManifest(manifest);',
      replace:
        'const head = await this.#putManifest(manifest);\n        await this.#segments.publish();',
    },
  ],
  'a segment comes before its packs': [
    {
      file: 'repository/pack-writer.js',
      find: '        await storage.put(name, pack.bytes);\n',
      replace: '        await this.#options.onDurable(pack.record);\n',
    },
    {
      file: 'repository/pack-writer.js',
      find: '        const stat = await storage.stat(name);\n',
      replace: `        this.late ??= [];
        this.late.push([name, pack.bytes.slice()]);
        const stat = { size: pack.bytes.length };\n`,
    },
    {
      file: 'repository/pack-writer.js',
      find: '        await this.#options.onDurable(pack.record);\n    }',
      replace:
        '    }\n    async putLate() { for (const [name, bytes] of this.late ?? []) await this.#core.storage.put(name, bytes); await this.#core.storage.sync(); }',
    },
    {
      file: 'repository/session.js',
      find: "        await pass('session.5.before');",
      replace: "        await this.#packs.putLate();\n        await pass('session.5.before');",
    },
  ],
  'the old passphrase goes before the new one comes': [
    {
      file: 'repository/manage-keys.js',
      find: "    const added = await addVerified(repository, { kind: 'passphrase', passphrase });\n",
      replace: '',
    },
    {
      file: 'repository/manage-keys.js',
      find: '    await deleteSlot(repository, { id: removedId, isInUse: true });\n',
      replace: `    await repository.storage.delete(repository.keySlot.name);
    const { name } = await addKeySlot(repository.storage, { credential: { kind: 'passphrase', passphrase },
      repositoryId: repository.id, keyRing: repository.keySlot.keyRing, random: repository.random });
    const added = { ...repository.keySlot, name };\n`,
    },
  ],
  'a file is restored under its final name': [
    {
      file: 'restore/target-file.js',
      find: 'this.#temporaryName = run.temporaryName();',
      replace: 'this.#temporaryName = place.name;',
    },
    {
      file: 'restore/target-file.js',
      find: 'fs.renameNoReplace(this.#directory, names);',
      replace: ';',
    },
  ],
  'packs are deleted before their sweep is there': [
    {
      file: 'maintain/prune/prune.js',
      find: '        await writer.putIfAbsent(identity, (chain) => encodeSweep({ chain, ...content }));\n',
      replace: `        for (const prefix of ['data/', 'meta/']) for await (const { name } of this.#repository.storage.list(prefix))
            if (content.delete.some((one) => name.endsWith(one))) await this.#repository.storage.delete(name);
        await writer.putIfAbsent(identity, (chain) => encodeSweep({ chain, ...content }));\n`,
    },
  ],
  'nobody looks again before the sweep': [
    {
      file: 'maintain/prune/prune.js',
      find: `        await this.#lookAgain();
        writer.see(this.#look.view);
        const { collector } = this.#look.view;
        if (collector.pendingMark?.hash !== mark.hash)
            throw overtaken(mark.generation);\n`,
      replace: '',
    },
  ],
  'a repack drops packs before the new ones are there': [
    {
      file: 'maintain/prune/repack.js',
      find: '        await repacker.repack(planned.pack);\n',
      replace: `        await repacker.repack(planned.pack);
        for await (const { name } of options.repository.storage.list('meta/'))
            if (name.endsWith(planned.pack.name)) await options.repository.storage.delete(name);\n`,
    },
  ],
  'segments go before the compacted one is there': [
    {
      file: 'maintain/prune/compact-segments.js',
      find: '    await storage.put(storageName, file);\n',
      replace: `    for (const one of batch) await storage.delete(one.storageName);
    await storage.put(storageName, file);\n`,
    },
  ],
  'a collection relies on tombs that are not durable': [
    {
      file: 'repository/rely-on.js',
      find: '    await adoptAll(storage, names);\n',
      replace: '',
    },
  ],
  'a session relies on segments that are not durable': [
    {
      file: 'repository/begin-session.js',
      find: '    await adoptAll(storage, names, { signal });\n',
      replace: '',
    },
  ],
  'an adopted pack is not made durable': [
    {
      file: 'repository/begin-session.js',
      find: '            await storage.adopt(packStorageName(record), { signal });\n',
      replace: '',
    },
  ],
  'put-if-absent replaces what is there': [
    {
      file: 'storage/local-writer.js',
      find: 'await this.#fs.link(temporary, this.#root.path(name));',
      replace: 'await this.#fs.rename(temporary, this.#root.path(name));',
    },
  ],
  'the kept size is not compared': [noSizeCheck],
  'failed writes are taken for done': [
    noSizeCheck,
    {
      file: 'storage/object-file.js',
      find: 'const count = await file.write(bytes.subarray(done, done + WRITE_SIZE_MAX), done);',
      replace:
        'const count = await file.write(bytes.subarray(done, done + WRITE_SIZE_MAX), done).catch(() => bytes.length);',
    },
  ],
  'packs go before the sweep is stored': [
    {
      file: 'maintain/prune/prune.js',
      find: 'const sweep = await this.#putSweep(mark, writer);',
      replace: `for (const name of mark.condemned) {
          const pack = this.#look.sync.listed.get(name);
          const top = pack?.kind === OBJECT_KIND.dataPack ? 'data' : 'meta';
          if (pack) await this.#repository.storage.delete(\`\${top}/\${name.slice(0, 2)}/\${name}\`);
        }
        const sweep = await this.#putSweep(mark, writer);`,
    },
  ],
  'the sweep waits for nobody': [
    {
      file: 'maintain/prune/prune.js',
      find: 'if (!(await this.#awaitSessions(writer)))',
      replace: 'if (false)',
    },
  ],
  'snapshots are not looked at again': [
    {
      file: 'maintain/prune/prune.js',
      find: 'this.#condemned = this.#numbersOf(mark.condemned);\n        await this.#walkKept();',
      replace: 'this.#condemned = this.#numbersOf(mark.condemned);',
    },
  ],
  'the sweep names all that was condemned': [
    {
      file: 'maintain/prune/prune.js',
      find: 'delete: there.filter((name) => !isRescued(name)),',
      replace: 'delete: there,',
    },
  ],
  'bases of deltas are not kept': [
    {
      file: 'maintain/prune/live-set.js',
      find: 'for (const base of chain)',
      replace: 'for (const base of [])',
    },
    {
      file: 'maintain/prune/rescue.js',
      find: 'if (live.chainIn(id, isLeft) !== undefined)',
      replace: 'if (true)',
    },
  ],
  'there is no grace': [
    {
      file: 'maintain/prune/look.js',
      find: 'if (storageMs - forgottenMs < graceMs)',
      replace: 'if (false)',
    },
  ],
  'undelete relies on what is about to go': [
    {
      file: 'maintain/undelete.js',
      find: 'await new Rescue(repository, { ...options, session, old }).execute();',
      replace: '',
    },
  ],
  'segments go before the compacted one is stored': [
    {
      file: 'maintain/prune/compact-segments.js',
      find: 'await storage.put(storageName, file);',
      replace:
        'for (const old of batch) await storage.delete(old.storageName);\n    await storage.put(storageName, file);',
    },
  ],
  'a tomb is acknowledged before it is durable': [
    {
      file: 'repository/chain-writer.js',
      find: '        await storage.sync();\n',
      replace: '',
    },
  ],
  'memory changes a bit': [memoryFlip],
  'memory changes a bit, packs are not verified': [
    memoryFlip,
    {
      file: 'repository/pack-writer.js',
      find: '        this.#verify(pack);\n',
      replace: '',
    },
  ],
  'memory changes a bit, ids are not checked': [
    memoryFlip,
    {
      file: 'pack/pack-reader.js',
      find: 'return !equalBytes(this.#identify(type, plaintext), id);',
      replace: 'return false;',
    },
  ],
  'a sweep does not wait': [
    {
      file: 'maintain/prune/prune.js',
      find: 'if (!(await this.#awaitSessions(writer)))',
      replace: 'if (false)',
    },
  ],
  'a fence is not looked at before the commit': [
    {
      file: 'repository/session.js',
      find: "if (outcome === 'exists' && !equalBytes(await storage.get(name), file)) {",
      replace: 'if (false) {',
    },
  ],
  'what is used again is not rescued': [
    {
      file: 'maintain/prune/prune.js',
      find: 'return packNo !== undefined && rescued.has(packNo);',
      replace: 'return false;',
    },
  ],
};

/** The source of the module with the bug in it. @throws where an edit does not fit */
export function plant(bug: string, url: string, source: string): string {
  const edits = PLANTED_BUGS[bug];
  if (edits === undefined) throw new Error(`no planted bug is called "${bug}"`);
  let planted = source;
  for (const { file, find, replace } of edits) {
    if (!url.endsWith(`/dist/src/${file}`)) continue;
    const parts = planted.split(find);
    if (parts.length !== 2) throw new Error(`"${bug}" fits ${parts.length - 1} times in ${file}`);
    planted = parts.join(replace);
  }
  return planted;
}
