/** A plain-text mail. Addresses are of the form `local@domain`, in ASCII and without a name. */
export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  /** Without angle brackets. The same for each repetition, so that it is recognised. */
  readonly messageId: string;
  readonly date: Date;
  readonly subject: string;
  readonly text: string;
}

/** RFC 5322 section 2.1.1 asks for at most 78 characters a line. */
const MAX_LINE = 76;
/** Of an encoded word (RFC 2047 section 2), whole groups of base64: with its frame and `Subject: ` it fits a line. */
const WORD_BYTES = 39;

/** The message as it goes over the wire (RFC 5322, 2045, 2047), with CRLF at the end of each line and no line of a dot. */
export function renderMail(mail: Mail): string {
  const headers = [
    ['Date', mail.date.toUTCString().replace(/GMT$/, '+0000')],
    ['From', mail.from],
    ['To', mail.to.join(',\r\n ')],
    ['Message-ID', `<${mail.messageId}>`],
    ['Subject', encodedSubject(mail.subject)],
    ['MIME-Version', '1.0'],
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['Content-Transfer-Encoding', 'base64'],
    // RFC 3834: no holiday notice answers it.
    ['Auto-Submitted', 'auto-generated'],
  ];
  const text = mail.text.replace(/\r?\n/g, '\r\n');
  const body =
    Buffer.from(text, 'utf8')
      .toString('base64')
      .match(new RegExp(`.{1,${MAX_LINE}}`, 'g')) ?? [];
  return [...headers.map(([name, value]) => `${name}: ${value}`), '', ...body, ''].join('\r\n');
}

/** One line of text: a line end in it would begin another header. */
function encodedSubject(subject: string): string {
  const line = subject.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
  if (/^[ -~]*$/.test(line) && line.length <= MAX_LINE - 'Subject: '.length && !line.includes('=?')) return line;
  const words: string[] = [];
  let word = '';
  for (const character of line) {
    if (Buffer.byteLength(word + character) > WORD_BYTES) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  words.push(word);
  return words.map((text) => `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`).join('\r\n ');
}
