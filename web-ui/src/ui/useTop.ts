import { type RefObject, useLayoutEffect, useState } from 'react'

/** Where an element begins in the page, for rows in it that come and go with the page's scrolling. */
export function useTop(element: RefObject<HTMLElement | null>): number {
  const [top, setTop] = useState(0)
  useLayoutEffect(() => {
    const found = element.current?.getBoundingClientRect().top
    // eslint-disable-next-line react-hooks/set-state-in-effect -- what is measured is known only now
    if (found !== undefined) setTop(Math.round(found + window.scrollY))
  }, [element])
  return top
}
