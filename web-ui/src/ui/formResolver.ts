import type { FieldValues, Resolver } from 'react-hook-form'
import { type ZodMiniType } from 'zod/mini'

/** Checks a form by a schema; the first fault of each field counts. */
export function byMeansOf<T extends FieldValues>(schema: ZodMiniType<T, T>): Resolver<T> {
  return (values) => {
    const read = schema.safeParse(values)
    if (read.success) return { values: read.data, errors: {} }
    const errors: Record<string, { type: string; message: string }> = {}
    for (const { path, message } of read.error.issues) {
      errors[path.join('.')] ??= { type: 'schema', message }
    }
    return { values: {}, errors: errors as never }
  }
}
