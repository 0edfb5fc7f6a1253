-- What is never shown (private keys, passwords) was kept in clear in the operations of changesets. Now it stands beside them, sealed; what was
-- written before is forgotten: it has to be given again. Answers that were remembered may hold it too.
ALTER TABLE changesets ADD COLUMN secrets TEXT NOT NULL DEFAULT '[]';

UPDATE changesets SET operations = (
    SELECT json_group_array(json_remove(o.value, '$.document.private_key', '$.document.password'))
    FROM json_each(changesets.operations) o
);

DELETE FROM idempotency_keys;
