/** What the solid and the dashed line of a chart are. */
export function Legend({ labels: [solid, dashed] }: { labels: [string, string] }) {
  return (
    <span className="legend">
      <span className="legend-line solid" aria-hidden="true" /> {solid}
      <span className="legend-line dashed" aria-hidden="true" /> {dashed}
    </span>
  )
}
