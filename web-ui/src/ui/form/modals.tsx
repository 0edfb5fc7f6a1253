/** The forms, loaded when somebody opens one. */
import { later } from '../later.tsx'

/** As generic as what they load. */
export const CreateModal = later(
  async () => (await import('./CreateModal.tsx')).CreateModal as never,
) as never as (typeof import('./CreateModal.tsx'))['CreateModal']
export const EditModal = later(
  async () => (await import('./EditModal.tsx')).EditModal as never,
) as never as (typeof import('./EditModal.tsx'))['EditModal']
