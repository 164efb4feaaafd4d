"use strict";

// Byte-pair encoding in CLIP's format (Radford et al., 2021) with a model's own vocabulary: what
// its tokenizer does in Python, id for id.
class Tokenizer {
  static SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  static OTHER = `[^${Tokenizer.SPACE}\\p{L}\\p{N}]+`;
  static ENDINGS = "'s|'t|'re|'ve|'m|'ll|'d";

  constructor({ pieces, merges, begin, end, padding }, places) {
    this.pieces = pieces;
    this.ids = new Map(pieces.map((piece, id) => [piece, id]));
    this.ranks = new Map(merges.map((merge, rank) => [merge, rank]));
    Object.assign(this, { begin, end, padding, places });
    const special = [begin, end].map((text) => text.replaceAll("|", "\\|")).join("|");
    const { ENDINGS, OTHER } = Tokenizer;
    this.special = new RegExp(`(${special})`);
    this.word = new RegExp(`${special}|${ENDINGS}|\\p{L}+|\\p{N}|${OTHER}`, "gu");
    this.part = new RegExp(`${ENDINGS}|\\p{L}+|\\p{N}+|${OTHER}`, "gu");
    // every byte as a letter that can be seen; those that are none come after the 256 bytes
    const seen = (byte) => byte > 32 && byte !== 173 && (byte < 127 || byte > 160);
    let next = 256;
    this.letters = Array.from({ length: 256 },
      (_, byte) => String.fromCharCode(seen(byte) ? byte : next++));
    this.bytes = new Map(this.letters.map((letter, byte) => [letter, byte]));
  }

  // The words of a text, each with the pieces that it is cut into.
  words(text) {
    const pieces = (part) => (part === this.begin || part === this.end
      ? [{ text: part, pieces: [part] }]
      // letter by letter, as in Python, where a last sigma is like any other
      : ([...part.normalize("NFC")].map((letter) => letter.toLowerCase()).join("")
        .match(this.word) ?? []).flatMap((word) => word.match(this.part))
        .map((word) => ({ text: word, pieces: this.merged(word) })));
    return text.split(this.special).filter(Boolean).flatMap(pieces);
  }

  merged(word) {
    const pieces = [...new TextEncoder().encode(word)].map((byte) => this.letters[byte]);
    pieces[pieces.length - 1] += "</w>";
    for (;;) {
      const rank = (k) => this.ranks.get(`${pieces[k]} ${pieces[k + 1]}`) ?? Infinity;
      let best = 0;
      for (let k = 1; k + 1 < pieces.length; k++) if (rank(k) < rank(best)) best = k;
      if (pieces.length < 2 || rank(best) === Infinity) return pieces;
      pieces.splice(best, 2, pieces[best] + pieces[best + 1]);
    }
  }

  // How many places a text takes, its begin and end counted.
  count(text) {
    return this.words(text).reduce((sum, { pieces }) => sum + pieces.length, 2);
  }

  // The ids of a text in all places, a label for each, and the row of its end.
  encode(text) {
    const words = this.words(text).flatMap(({ pieces }) => pieces);
    const end = words.length + 1;
    if (end >= this.places) throw new RangeError(`${end + 1} tokens in ${this.places} places`);
    const pieces = [this.begin, ...words, this.end];
    while (pieces.length < this.places) pieces.push(this.padding);
    const ids = Int32Array.from(pieces, (piece) => this.ids.get(piece));
    const labels = pieces.map((piece, row) => {
      if (row === 0) return "begin";
      return row < end ? this.readable(piece) : row === end ? "end" : "padding";
    });
    return { ids, labels, end };
  }

  readable(piece) {
    const letters = [...piece.replace("</w>", "")];
    const bytes = letters.map((letter) => this.bytes.get(letter) ?? 63);
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }
}
