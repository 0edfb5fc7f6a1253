import { cleanup, render, screen } from '@testing-library/react'
import decodeQR from 'qr/decode.js'
import { afterEach, expect, test } from 'vitest'
import { QrCode } from './QrCode.tsx'

afterEach(cleanup)

/** Screen pixels for each module. */
const SCALE = 4

/** The picture as a camera sees it: its black runs, as the path draws them. */
function pixels(picture: HTMLElement) {
  const modules = Number(picture.getAttribute('viewBox')?.split(' ')[2])
  const size = modules * SCALE
  const data = new Uint8Array(size * size * 4).fill(255)
  const path = picture.querySelector('path')?.getAttribute('d') ?? ''
  for (const [, from, y, length] of path.matchAll(/M(\d+) (\d+)h(\d+)v1H\1z/g)) {
    for (let row = Number(y) * SCALE; row < (Number(y) + 1) * SCALE; row += 1) {
      const first = Number(from) * SCALE
      for (let x = first; x < first + Number(length) * SCALE; x += 1)
        data.fill(0, (row * size + x) * 4, (row * size + x) * 4 + 3)
    }
  }
  return { width: size, height: size, data }
}

test('a camera reads what it was made of', () => {
  const text =
    'otpauth://totp/Penstock:admin?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Penstock&digits=6&period=30'
  render(<QrCode text={text} label="The secret" />)
  expect(decodeQR(pixels(screen.getByRole('img', { name: 'The secret' })))).toBe(text)
})
