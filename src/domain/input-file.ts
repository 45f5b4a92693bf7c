// What the lines of an uploaded file ask for, as far as it decides what working them off may cost: of batches, and of files to train with.

export interface InputFile {
  readonly bytes: number;
  readonly lines: number;
  /** Bytes of the longest of them. */
  readonly lineBytesMax: number;
  /** Null where they name none, or several. */
  readonly model: string | null;
  /** What is made of each line. `nothing`: it costs what is read alone, as embeddings do. */
  readonly makes: 'text' | 'images' | 'nothing';
  /** Output tokens of all replies that are bounded. */
  readonly outputTokens: number;
  /** Replies, or images, that are not. */
  readonly unboundedReplies: number;
  /** Lines that read more than stands in them: pictures, files, an earlier response. */
  readonly linesReadingElsewhere: number;
}

/** As it stands in the record of the upload. */
export interface InputFileRecord {
  readonly bytes: number;
  readonly lines: number;
  readonly line_bytes_max: number;
  readonly model: string | null;
  readonly makes: InputFile['makes'];
  readonly output_tokens: number;
  readonly unbounded_replies: number;
  readonly lines_reading_elsewhere: number;
}

export function inputFileRecord(file: InputFile): InputFileRecord {
  const { bytes, lines, lineBytesMax, model, makes, outputTokens, unboundedReplies, linesReadingElsewhere } = file;
  return {
    bytes,
    lines,
    line_bytes_max: lineBytesMax,
    model,
    makes,
    output_tokens: outputTokens,
    unbounded_replies: unboundedReplies,
    lines_reading_elsewhere: linesReadingElsewhere,
  };
}

export function inputFileOf(record: InputFileRecord): InputFile {
  const { bytes, lines, model, makes } = record;
  return {
    bytes,
    lines,
    lineBytesMax: record.line_bytes_max,
    model,
    makes,
    outputTokens: record.output_tokens,
    unboundedReplies: record.unbounded_replies,
    linesReadingElsewhere: record.lines_reading_elsewhere,
  };
}

/** Work that a request starts on a file that was uploaded before. */
export interface WorkOnFile {
  readonly fileId: string;
  /** How often it is trained with; null where the upstream is to choose. */
  readonly epochs: number | null;
  /** Paid by the time that it takes, which nobody knows before. */
  readonly isTimed: boolean;
}
