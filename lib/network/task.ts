export const TASKS = ['classification', 'perPosition', 'multiLabel', 'regression'] as const;

/**
 * What is learned of an example: one class (`labels` [count]), a class at every position (`labels` [count × positions]),
 * any number of classes (`targets` [count × classes] of 0 and 1), or numbers (`targets` [count × features]).
 */
export type Task = (typeof TASKS)[number];
