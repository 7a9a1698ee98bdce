// Bun for musl on a machine of Debian's, which has musl and its loader, but no C++ library for it: Bun takes some fifty functions of one.
// They are those of GCC's static library, and three of glibc that it calls are written here. For trying binaries, nothing else.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const missing = `#include <stddef.h>
#include <sys/random.h>
char __libc_single_threaded = 0;
unsigned arc4random(void) { unsigned x = 0; getrandom(&x, sizeof x, 0); return x; }
int _dl_find_object(void* address, void* result) { return (void)address, (void)result, -1; } /* the unwinder asks dl_iterate_phdr then */
int __cxa_thread_atexit_impl(void (*f)(void*), void* object, void* handle) { return (void)f, (void)object, (void)handle, 0; }
`;

const lines = (command, args) =>
  execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] }).split('\n');
const ofGcc = (name) => execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();

/** The command that runs Bun for musl; its C++ library is made in `work`. */
export function muslRuntime(work, bun) {
  const source = join(work, 'glibc-names.c');
  writeFileSync(source, missing);
  const archives = ['libstdc++.a', 'libgcc_eh.a', 'libgcc.a'].map(ofGcc);
  const defined = new Set(lines('nm', ['--defined-only', '--extern-only', archives[0]]).flatMap((line) => / [TWVDBR] (\S+)$/.exec(line)?.[1] ?? []));
  const wanted = lines('readelf', ['-W', '--dyn-syms', bun])
    .flatMap((line) => /\s([\w$.]+)(?:@\S+)?(?: \(\d+\))?$/.exec(line)?.[1] ?? []) // defined ones too: tables that are copied into the program
    .filter((name) => defined.has(name));
  const library = join(work, 'libstdc++.so.6');
  const undefinedNames = [...new Set(wanted)].map((name) => `-Wl,-u,${name}`);
  execFileSync('musl-gcc', ['-shared', '-fPIC', source, '-o', library, ...undefinedNames, ...archives, '-Wl,-soname,libstdc++.so.6']);
  return ['env', `LD_LIBRARY_PATH=${dirname(library)}`, bun];
}
