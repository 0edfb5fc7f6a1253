/** The form of a new virtual service, over the list. */
import { useTranslation } from 'react-i18next'
import { ServiceForm } from '../../services/ServiceForm.tsx'
import { FormModal } from '../../ui/form/FormModal.tsx'

export function CreateService({ close, done }: { close: () => void; done: (id: string) => void }) {
  const { t } = useTranslation()
  return (
    <FormModal title={t('services.create')} close={close}>
      {({ cancel, setDirty }) => (
        <ServiceForm cancel={cancel} close={close} setDirty={setDirty} done={({ id }) => done(id)} />
      )}
    </FormModal>
  )
}
