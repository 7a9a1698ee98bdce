/** Writing files so that a crash or a full disk never leaves half of one: aside, synced, renamed. */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces `path` by `chunks` as a whole, or leaves what was there. */
export async function writeFileAtomic(path: string, chunks: readonly (Uint8Array | string)[]): Promise<void> {
  const aside = `${path}.${process.pid}.tmp`;
  let file: FileHandle | undefined;
  try {
    file = await open(aside, 'w');
    for (const chunk of chunks) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      let done = 0;
      while (done < bytes.length) done += (await file.write(bytes, done)).bytesWritten;
    }
    await file.sync();
    await file.close();
    file = undefined;
    await rename(aside, path);
  } catch (error) {
    await file?.close().catch(() => {});
    await rm(aside, { force: true }).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Makes a rename last through a power cut, where the system can. */
async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, 'r');
    await directory.sync().finally(() => directory.close());
  } catch {
    // Windows cannot open directories; the rename itself has happened.
  }
}
