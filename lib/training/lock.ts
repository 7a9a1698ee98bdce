/**
 * A lock on the folder of a run: a file that names its owner. It is made whole by a hard link, so that nobody reads half of
 * it, and a process that has ended does not hold it.
 *
 * Two processes that find the lock of a dead one must not both take it. Every lock has a number of its own, and the right to
 * replace lock n is a lock too, on a file with that number in its name: whoever holds it looks again whether lock n is still
 * there, and only then puts its own in its place.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, unlinkSync } from 'node:fs';
import { link, open, readFile, readlink, rm, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { threadId } from 'node:worker_threads';
import { CheckpointError } from '../errors.js';
import { obstacle, writeFileAtomic } from '../files.js';

export interface LockOwner {
  pid: number;
  /** When the process started, in the terms of its system: another process may get its pid later. */
  started: string;
  host: string;
  /** Pids of another namespace (a container) are other processes. */
  namespace: string;
  /** When the lock was taken, for people. */
  since: string;
  /** Of this lock alone. */
  id: string;
}

export interface Lock {
  readonly owner: LockOwner;
  release(): void;
}

/** A lock without contents (after a power cut) is nobody's once it is this old. */
const EMPTY_LOCK_MS = 10_000;

/**
 * @throws CheckpointError naming the owner, when it is alive or cannot be looked at from here
 */
export async function takeLock(path: string): Promise<Lock> {
  const owner: LockOwner = {
    pid: process.pid,
    started: (await startOf(process.pid)) ?? '',
    host: hostname(),
    namespace: await pidNamespace(),
    since: new Date().toISOString(),
    id: randomUUID(),
  };
  await acquire(path, owner);
  const giveBack = () => {
    try {
      // Somebody may have removed our lock by hand, and another process may have taken one since.
      if (parseOwner(readFileSync(path, 'utf8'))?.id === owner.id) unlinkSync(path);
    } catch {
      // Without a lock there is nothing to give back; one of a process that has ended holds nobody up.
    }
  };
  process.once('exit', giveBack);
  return {
    owner,
    release() {
      process.off('exit', giveBack);
      giveBack();
    },
  };
}

async function acquire(path: string, owner: LockOwner): Promise<void> {
  for (;;) {
    if (await createLock(path, owner)) return;
    const held = await readLock(path);
    if (held === 'gone') continue;
    if (held === 'new') {
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    if (held !== 'nobody' && (await mayBeAlive(held))) throw heldBy(path, held, owner);
    const id = held === 'nobody' ? 'nobody' : held.id;
    const right = `${path}.${id}.tmp`;
    await acquire(right, owner);
    try {
      const now = await readLock(path);
      const same = now === held || (typeof now === 'object' && typeof held === 'object' && now.id === held.id);
      if (!same) continue;
      await replaceLock(path, owner);
      return;
    } finally {
      await unlink(right).catch(() => {});
    }
  }
}

async function replaceLock(path: string, owner: LockOwner): Promise<void> {
  try {
    await writeFileAtomic(path, [JSON.stringify(owner)]);
  } catch (error) {
    throw new CheckpointError(`The lock ${path} could not be written: ${obstacle(error)}.`, { cause: error });
  }
}

/** @returns false when there is a lock already */
async function createLock(path: string, owner: LockOwner): Promise<boolean> {
  const aside = `${path}.${process.pid}-${threadId}-${randomUUID()}.tmp`;
  try {
    const file = await open(aside, 'wx');
    try {
      await file.writeFile(JSON.stringify(owner));
    } finally {
      await file.close();
    }
    await linkOrCopy(aside, path, owner);
    return true;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    // The owner clears the folder of what dead processes left, and may take ours for that: without a folder, the next try fails.
    if (code === 'EEXIST' || (code === 'ENOENT' && syscall === 'link')) return false;
    throw new CheckpointError(`The lock ${path} could not be written: ${obstacle(error)}.`, { cause: error });
  } finally {
    await rm(aside, { force: true }).catch(() => {});
  }
}

/** Some file systems have no hard links; there, a reader may meet an empty lock for a moment. */
async function linkOrCopy(aside: string, path: string, owner: LockOwner): Promise<void> {
  try {
    await link(aside, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EINVAL'].includes(code ?? '')) throw error;
    const file = await open(path, 'wx');
    await file.writeFile(JSON.stringify(owner)).finally(() => file.close());
  }
}

/** 'gone': there is none; 'new': it is being written; 'nobody': it never was. */
async function readLock(path: string): Promise<LockOwner | 'gone' | 'new' | 'nobody'> {
  try {
    const text = await readFile(path, 'utf8');
    const owner = parseOwner(text);
    if (owner) return owner;
    return Date.now() - (await stat(path)).mtimeMs > EMPTY_LOCK_MS ? 'nobody' : 'new';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'gone';
    throw new CheckpointError(`The lock ${path} could not be read: ${obstacle(error)}.`, { cause: error });
  }
}

function parseOwner(text: string): LockOwner | undefined {
  try {
    const owner = JSON.parse(text) as LockOwner;
    return Number.isInteger(owner.pid) && typeof owner.id === 'string' ? owner : undefined;
  } catch {
    return undefined;
  }
}

async function mayBeAlive(owner: LockOwner): Promise<boolean> {
  if (owner.host !== hostname() || owner.namespace !== (await pidNamespace())) return true; // nothing is known of it here
  return (await startOf(owner.pid)) === owner.started;
}

function heldBy(path: string, held: LockOwner, { host, namespace }: LockOwner): CheckpointError {
  const elsewhere = held.host !== host || held.namespace !== namespace;
  const where = held.host === host ? `${host}${elsewhere ? ', in another container' : ''}` : held.host;
  const advice = elsewhere ? `If it no longer runs, remove ${path}.` : 'Wait for its end, or end it.';
  return new CheckpointError(
    `Process ${held.pid} on ${where} (since ${held.since}) is at work in this folder: its lock is ${path}. ${advice} Another run needs another --out.`,
  );
}

/** When a process started; undefined when there is none (or a zombie: it has ended). */
async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return startOnLinux(pid);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined;
  }
  if (process.platform === 'win32') return 'running';
  return new Promise((resolve) => {
    execFile('ps', ['-o', 'lstart=', '-p', String(pid)], (error, stdout) => resolve(error ? 'running' : stdout.trim()));
  });
}

/** Field 22 of /proc/PID/stat, in clock ticks since the boot that is named with it. */
async function startOnLinux(pid: number): Promise<string | undefined> {
  try {
    const line = await readFile(`/proc/${pid}/stat`, 'latin1');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' '); // from field 3 on: the name before may hold anything
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => '');
    return `${boot.trim()} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

const pidNamespace = (): Promise<string> => readlink('/proc/self/ns/pid').catch(() => '');
