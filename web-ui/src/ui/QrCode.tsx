/** A text as a picture that a telephone's camera reads. It is drawn here: nobody is asked. */
import { encodeQR } from 'qr'
import { useMemo } from 'react'

/** Modules that stay white around it: cameras need them (ISO/IEC 18004, 6.3.8). */
const QUIET = 4

export function QrCode({ text, label }: { text: string; label: string }) {
  const rows = useMemo(() => encodeQR(text, 'raw', { ecc: 'medium', border: QUIET }), [text])
  const size = rows.length
  return (
    <svg className="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shapeRendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={rows.map(lineOf).join('')} fill="#000" />
    </svg>
  )
}

/** The black modules of a row, those beside each other as one. */
function lineOf(row: readonly boolean[], y: number): string {
  let path = ''
  for (let x = 0; x < row.length; x += 1) {
    if (row[x] !== true) continue
    const from = x
    while (row[x + 1] === true) x += 1
    path += `M${from} ${y}h${x + 1 - from}v1H${from}z`
  }
  return path
}
