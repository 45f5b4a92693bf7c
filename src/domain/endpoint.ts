/** A row of OpenAI's API: what Throughway knows of one operation. The rows stand in openai/. */
export interface Endpoint {
  readonly method: string;
  /** Path template with one leading `/v1`, such as `/v1/files/{file_id}/content`. */
  readonly path: string;
  /** What a virtual key's `endpoints` may name. */
  readonly group: string;
  readonly transport: 'http' | 'websocket';
  /** Where the model's name stands in a request. */
  readonly modelIn: 'body' | 'query' | 'path' | null;
  readonly streamedBy: 'body.stream' | 'query.stream' | 'body.stream_format' | 'always' | 'websocket' | null;
  readonly billing: string;
  readonly emulated: boolean;
}
