/** Sends a release. `fetch` does not say how far it is, and this takes minutes. */
import { ApiProblem } from './problem.ts'

export function putUpdate(file: File, progress: (share: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('PUT', '/api/v1/system/update')
    request.setRequestHeader('Content-Type', 'application/octet-stream')
    request.setRequestHeader('X-Penstock-Console', '1')
    request.upload.onprogress = ({ loaded, total }) => progress(loaded / total)
    request.onerror = () => reject(ApiProblem.unreachable(request.status))
    request.onload = () => {
      if (request.status < 300) return resolve()
      reject(ApiProblem.from(request.status, parsed(request.responseText)))
    }
    request.send(file)
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
