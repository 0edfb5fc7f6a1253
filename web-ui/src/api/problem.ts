import type { components } from './generated/schema.d.ts'

export type FieldError = components['schemas']['FieldError']

/** Why a request failed: a problem document (RFC 9457), or no answer at all. */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly requestId: string,
    readonly errors: readonly FieldError[],
    options?: ErrorOptions,
  ) {
    super(detail, options)
    this.name = 'ApiProblem'
  }

  static from(status: number, body: unknown): ApiProblem {
    const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<components['schemas']['Problem']>
    const { code = 'unknown', detail = `HTTP ${status}`, request_id = '', errors = [] } = problem
    return new ApiProblem(status, code, detail, request_id, errors)
  }

  static unreachable(cause: unknown): ApiProblem {
    return new ApiProblem(0, 'unreachable', 'no answer', '', [], { cause })
  }
}

export function isProblem(error: unknown, code: string): error is ApiProblem {
  return error instanceof ApiProblem && error.code === code
}
