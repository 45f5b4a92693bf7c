// What a route of LiteLLM's names answers, and which fields of the request did nothing.
export class LitellmReply {
  readonly answer: unknown;
  readonly unsupported: readonly string[];

  /** @param unsupported what the answer alone can tell, besides the fields that no table honours */
  constructor(answer: unknown, unsupported: readonly string[] = []) {
    this.answer = answer;
    this.unsupported = unsupported;
  }
}
