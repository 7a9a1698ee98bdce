/**
 * The element at an index that the code around it keeps in range; it says so in place of going on with `undefined`. Loops over the
 * bytes and numbers of whole data sets read their arrays directly: they ask for the length themselves.
 * @throws RangeError
 */
export function item<T>(list: ArrayLike<T>, index: number): T {
  const value = list[index];
  if (value === undefined) throw new RangeError(`Expected an index below ${list.length} but received ${index}`);
  return value;
}

/** A value that must be there. @throws RangeError that says what is missing */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new RangeError(`Expected ${what} but received none`);
  return value;
}

/** The value of a name that must be there. @throws RangeError */
export function entry<T>(record: Readonly<Record<string, T>>, name: string): T {
  return present(record[name], `an entry "${name}"`);
}
