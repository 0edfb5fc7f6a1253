/** Reads the plane's counts every second into the page's traffic, until somebody pauses it. */
import { useQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import { statsQuery } from '../api/queries.ts'
import { traffic } from '../live/traffic.ts'

export function useLive(paused: boolean) {
  const { data, dataUpdatedAt } = useQuery({ ...statsQuery, refetchInterval: 1000, enabled: !paused })
  useEffect(() => {
    if (data !== undefined) traffic.add(data, dataUpdatedAt)
  }, [data, dataUpdatedAt])
}
