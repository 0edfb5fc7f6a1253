/** A name that leads to what it names, with what is worth a word about it. */
import { Link, type LinkProps } from '@tanstack/react-router'
import type { Resource } from '../../status/facts.ts'
import { SyncMark } from '../Status.tsx'

interface Props extends Pick<LinkProps, 'to' | 'params'> {
  resource: Pick<Resource, 'name' | 'tags' | 'provisioning_status' | 'status_reason'>
}

const TAGS = 1

export function Name({ resource, ...link }: Props) {
  const { name, tags } = resource
  return (
    <span className="named">
      <Link {...link} search={(now: object) => now} className="name-link" title={name}>
        <bdi>{name}</bdi>
      </Link>
      <SyncMark resource={resource} />
      {tags.slice(0, TAGS).map((tag) => (
        <span key={tag} className="tag cut only-wide" title={tag}>
          <bdi>{tag}</bdi>
        </span>
      ))}
      {tags.length > TAGS && <span className="dim small only-wide">+{tags.length - TAGS}</span>}
    </span>
  )
}
