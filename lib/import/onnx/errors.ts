/** What a node would need that is not there. */
export class Unsupported extends Error {}
