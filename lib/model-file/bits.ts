/** Bit streams, least significant bit first. */

export class BitWriter {
  #bytes = new Uint8Array(1024);
  #bits = 0;
  /** Appends the low `count` (0..32) bits of `value`. */
  write(value: number, count: number): void {
    if ((this.#bits + count + 7) >> 3 >= this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    for (let i = 0; i < count; i++, this.#bits++) {
      if ((value >>> i) & 1) this.#bytes[this.#bits >> 3] |= 1 << (this.#bits & 7);
    }
  }
  finish(): Uint8Array {
    return this.#bytes.slice(0, (this.#bits + 7) >> 3);
  }
}

export class BitReader {
  #at = 0;
  constructor(readonly bytes: Uint8Array) {}
  /** The next `count` (0..32) bits as a two's complement integer. @throws RangeError at the end of the stream */
  readSigned(count: number): number {
    const value = this.readUnsigned(count);
    return count > 0 && count < 32 && value >= 2 ** (count - 1) ? value - 2 ** count : value | 0;
  }
  readUnsigned(count: number): number {
    if (this.#at + count > this.bytes.length * 8) throw new RangeError('the data end too early');
    let value = 0;
    for (let i = 0; i < count; i++, this.#at++) {
      if ((this.bytes[this.#at >> 3] >> (this.#at & 7)) & 1) value += 2 ** i;
    }
    return value;
  }
  /** Whole bytes that have been touched. */
  get bytesRead(): number {
    return (this.#at + 7) >> 3;
  }
}
