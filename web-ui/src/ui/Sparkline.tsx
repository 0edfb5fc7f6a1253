/** The course of a value, without axes. A picture beside the number, so it says nothing to a screen reader. */
export function Sparkline({
  values,
  tone = 'series-1',
}: {
  values: readonly number[]
  tone?: 'series-1' | 'series-2'
}) {
  const [width, height] = [96, 24]
  const most = Math.max(...values, 0)
  const line = values.map((value, index) => {
    const x = (index / Math.max(1, values.length - 1)) * width
    const y = most === 0 ? height - 1 : height - 1 - (value / most) * (height - 3)
    return `${x.toFixed(1)},${y.toFixed(1)}`
  })
  if (line.length < 2) return <svg className="spark" viewBox={`0 0 ${width} ${height}`} aria-hidden="true" />
  return (
    <svg
      className={`spark ${tone} ${most === 0 ? 'flat' : ''}`}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <polygon points={`0,${height} ${line.join(' ')} ${width},${height}`} />
      <polyline points={line.join(' ')} />
    </svg>
  )
}
