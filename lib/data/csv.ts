/** Tables as text: comma- or tab-separated values by RFC 4180, with quotes, CRLF, LF or CR, and line breaks in quotes. */
import { DataError } from '../errors.js';
import { pauses } from '../pace.js';
import { textPieces, withDataFile } from './files.js';

export interface Row {
  /** Line on which the row begins, counted from 1. */
  line: number;
  fields: string[];
}

/** More columns are a file of another kind. */
const MOST_COLUMNS = 65_536;
const MOST_FIELD = 1 << 20;

const QUOTE = 34;
const LF = 10;
const CR = 13;

/** Takes a text piece by piece and gives its rows; lines without any character are none. */
export class CsvParser {
  #line = 1;
  #rowLine = 1;
  #quoteLine = 1;
  #fields: string[] = [];
  #field = '';
  #state: 'start' | 'plain' | 'quoted' | 'quoteInQuoted' = 'start';
  #afterCr = false;
  readonly #delimiter: number;

  constructor(
    delimiter: string,
    readonly path: string,
    readonly emit: (row: Row) => void,
  ) {
    this.#delimiter = delimiter.charCodeAt(0);
  }

  #error(message: string, line = this.#line): DataError {
    return new DataError(`line ${line}, column ${this.#fields.length + 1}: ${message}`, this.path);
  }

  #endField(): void {
    if (this.#fields.length >= MOST_COLUMNS) throw this.#error(`more than ${MOST_COLUMNS} columns`);
    this.#fields.push(this.#field);
    this.#field = '';
    this.#state = 'start';
  }

  #endRow(): void {
    if (this.#fields.length > 0 || this.#state !== 'start') {
      this.#endField();
      this.emit({ line: this.#rowLine, fields: this.#fields });
      this.#fields = [];
    }
    this.#rowLine = this.#line + 1;
  }

  #add(text: string): void {
    if (this.#field.length + text.length > MOST_FIELD) {
      const quoted = this.#state === 'quoted';
      throw this.#error(`a field of more than ${MOST_FIELD} characters${quoted ? ' (its quote is never closed?)' : ''}`, this.#quoteLine);
    }
    this.#field += text;
  }

  write(text: string): void {
    let from = 0; // where the characters begin that belong to the field and have not been added yet
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      const wasCr = this.#afterCr;
      this.#afterCr = c === CR;
      if (this.#state === 'quoted') {
        if (c === QUOTE) {
          this.#add(text.slice(from, i));
          this.#state = 'quoteInQuoted';
        } else if (c === LF ? !wasCr : c === CR) this.#line++;
        continue;
      }
      if (this.#state === 'quoteInQuoted' && c === QUOTE) {
        from = i; // two quotes stand for one
        this.#state = 'quoted';
        continue;
      }
      if (c === this.#delimiter || c === LF || c === CR) {
        if (this.#state === 'plain') this.#add(text.slice(from, i));
        if (c === this.#delimiter) this.#endField();
        else if (c === CR || !wasCr) {
          this.#endRow();
          this.#line++;
        }
      } else if (this.#state === 'quoteInQuoted')
        throw this.#error(`expected the end of the field behind its quote but found ${JSON.stringify(text[i])}`);
      else if (this.#state === 'start') {
        this.#state = c === QUOTE ? 'quoted' : 'plain';
        this.#quoteLine = this.#line;
        from = c === QUOTE ? i + 1 : i;
      }
    }
    if (this.#state === 'plain' || this.#state === 'quoted') this.#add(text.slice(from));
  }

  end(): void {
    if (this.#state === 'quoted') throw this.#error('a quote that is never closed', this.#quoteLine);
    this.#endRow();
  }
}

/** Characters that are parsed between two looks at the clock. */
const PIECE = 1 << 15;

/** Most fields of a table, a row counting as three more: what is parsed is held in memory, and running out of it ends the process. */
const MOST_FIELDS = 30_000_000;

/** All rows of a file, plain or gzipped. @throws DataError with line and column */
export async function readCsv(path: string, delimiter: string): Promise<Row[]> {
  return withDataFile(path, async (source) => {
    const rows: Row[] = [];
    let fields = 0;
    const parser = new CsvParser(delimiter, path, (row) => {
      fields += row.fields.length + 3;
      if (fields > MOST_FIELDS) throw new DataError(`line ${row.line}: more fields than are held in memory (${MOST_FIELDS})`, path);
      rows.push(row);
    });
    const rest = pauses();
    for await (const text of textPieces(source)) {
      for (let at = 0; at < text.length; at += PIECE) {
        parser.write(text.slice(at, at + PIECE));
        await rest();
      }
    }
    parser.end();
    return rows;
  });
}
