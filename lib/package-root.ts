/** Where this package lies: files that come with it are found from here, by the modules in dist/ and by the bundle beside them. */
import { fileURLToPath } from 'node:url';

export const packageRoot: string = fileURLToPath(new URL('..', import.meta.url));
