// Made from appliance/server/openapi.json by `npm run api`.
export interface paths {
    "/api/v1/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the audit log
         * @description Who did what, from where, and whether it was let. Lines are only ever added.
         */
        get: operations["listAudit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/verification": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Verify the audit log
         * @description Reads every line and checks that its hash follows from it and from the line before.
         */
        get: operations["verifyAudit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a line of the audit log */
        get: operations["readAudit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/backups": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List backups */
        get: operations["listBackups"];
        put?: never;
        /**
         * Take a backup
         * @description Of everything as it is at this moment, while all goes on: configuration with its secrets, accounts, history and audit log. Its file is sealed by the passphrase (Argon2id, AES-256-GCM) and says in two lines of text what it is. The appliance keeps at most 32.
         */
        post: operations["takeBackup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/backups/upload": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Upload a backup
         * @description A file that was downloaded before, of this appliance or another. What it says of itself is proved when it is opened.
         */
        post: operations["uploadBackup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/backups/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read about a backup */
        get: operations["readBackup"];
        put?: never;
        post?: never;
        /** Delete a backup */
        delete: operations["deleteBackup"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/backups/{id}/file": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download a backup */
        get: operations["downloadBackup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/backups/{id}/restore": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Restore the configuration of a backup
         * @description Makes the configuration, with all its secrets, what it was then: one change, with a revision, that can be tried with `dry_run`, wait to be confirmed, and be rolled back. Accounts and history stay as they are. While the appliance's own database is damaged, and only then, the code that its console shows is a good token for the routes of backups, and all that is in the backup takes the place of what is damaged: the answer is 202 then, with the backup that the appliance begins with.
         */
        post: operations["restoreBackup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/certificates": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List certificates
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listCertificates"];
        put?: never;
        /**
         * Create a certificate
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createCertificate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/certificates/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a certificate */
        get: operations["readCertificate"];
        /**
         * Replace a certificate
         * @description What the body does not name gets its default.
         */
        put: operations["replaceCertificate"];
        post?: never;
        /** Delete a certificate */
        delete: operations["deleteCertificate"];
        options?: never;
        head?: never;
        /**
         * Change a certificate
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchCertificate"];
        trace?: never;
    };
    "/api/v1/certificates/{id}/request": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ask for a certificate to be signed
         * @description Makes a key, which never leaves the appliance, and with it `csr`, for an authority to sign. What that makes of it is written as `chain`, and the key with it. Until then all is as before: a certificate that serves goes on serving, and one that has no `chain` yet can be shown by nobody. Asking again takes the place of what was asked before.
         */
        post: operations["requestCertificate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/changesets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List changesets
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listChangesets"];
        put?: never;
        /**
         * Create a changeset
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createChangeset"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/changesets/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a changeset */
        get: operations["readChangeset"];
        /**
         * Replace a changeset
         * @description What the body does not name gets its default.
         */
        put: operations["replaceChangeset"];
        post?: never;
        /** Delete a changeset */
        delete: operations["deleteChangeset"];
        options?: never;
        head?: never;
        /**
         * Change a changeset
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchChangeset"];
        trace?: never;
    };
    "/api/v1/changesets/{id}/apply": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Apply a changeset
         * @description All of it or nothing; then it is gone. 409 names what somebody else has changed since it was written.
         */
        post: operations["applyChangeset"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/changesets/{id}/preview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Preview a changeset
         * @description Says what applying it would change, or what is wrong with it.
         */
        get: operations["previewChangeset"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/claim": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Claim the appliance
         * @description Creates the one administrator, with the one-time code that the appliance's console shows. Until then nothing else works; afterwards this does not work any more.
         */
        post: operations["claim"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/config": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the whole configuration
         * @description As JSON, or with `Accept: application/yaml` as YAML.
         */
        get: operations["readConfig"];
        /**
         * Replace the whole configuration
         * @description In one transaction, by the code that single edits go through. What is not in the document is deleted; what is the same is not touched, so that the same document twice changes nothing.
         */
        put: operations["replaceConfig"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/connections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List connections
         * @description Those of virtual services that are forwarded at layer 4, as they are now, in no particular order. One that lasts is met once on the way through all pages; one that begins meanwhile may be missed. Forwarding does not wait for it.
         */
        get: operations["listConnections"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/connections/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * End a connection
         * @description It is forgotten at once. What either end of a TCP connection still sends is dropped (`no_flow`), so that both find out by their own timeouts; the next datagram of a UDP client begins another connection, perhaps with another member.
         */
        delete: operations["endConnection"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A page to browse this description */
        get: operations["browseDescription"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List events
         * @description What the appliance noticed: changes, members that fail and come back. The last 20,000 are kept.
         */
        get: operations["listEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Listen to events
         * @description Server-sent events, one for each event as it happens: `id` is its number, `event` its kind, `data` the event as JSON. A reader that was cut off says `Last-Event-ID` and misses nothing that is still kept.
         */
        get: operations["streamEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read an event */
        get: operations["readEvent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/explain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * What would become of a request
         * @description Which policies it fits, who would get it, and what that member would see of it. The layer-7 plane decides as it does for clients, by the configuration that it works by now, and sends nothing; rate limits are not counted.
         */
        post: operations["explainRequest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/explain/packet": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * What would become of a packet
         * @description Which virtual service it is for, who would get it and why, or why it is dropped. The layer-4 plane decides as it does for packets, by the configuration and the connections of now, and changes nothing: no connection begins, no member's turn is taken, nothing is counted. A packet for a virtual service of protocol `http` or `https` is the kernel's here (`punt`): ask `POST /explain` about its requests.
         */
        post: operations["explainPacket"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/monitors": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List monitors
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listMonitors"];
        put?: never;
        /**
         * Create a monitor
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createMonitor"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/monitors/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a monitor */
        get: operations["readMonitor"];
        /**
         * Replace a monitor
         * @description What the body does not name gets its default.
         */
        put: operations["replaceMonitor"];
        post?: never;
        /** Delete a monitor */
        delete: operations["deleteMonitor"];
        options?: never;
        head?: never;
        /**
         * Change a monitor
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchMonitor"];
        trace?: never;
    };
    "/api/v1/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This description (OpenAPI 3.1) */
        get: operations["readDescription"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/operations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your operations
         * @description Those that you began since the appliance's management did: what they did stays, what is told of them here does not.
         */
        get: operations["listOperations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/operations/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** See how an operation is */
        get: operations["readOperation"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Change your password
         * @description Ends all your sessions, this one too.
         */
        post: operations["changePassword"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/policies": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List policies
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listPolicies"];
        put?: never;
        /**
         * Create a policy
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createPolicy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/policies/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a policy */
        get: operations["readPolicy"];
        /**
         * Replace a policy
         * @description What the body does not name gets its default.
         */
        put: operations["replacePolicy"];
        post?: never;
        /** Delete a policy */
        delete: operations["deletePolicy"];
        options?: never;
        head?: never;
        /**
         * Change a policy
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchPolicy"];
        trace?: never;
    };
    "/api/v1/pools": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List pools
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listPools"];
        put?: never;
        /**
         * Create a pool
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createPool"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/pools/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a pool */
        get: operations["readPool"];
        /**
         * Replace a pool
         * @description What the body does not name gets its default.
         */
        put: operations["replacePool"];
        post?: never;
        /** Delete a pool */
        delete: operations["deletePool"];
        options?: never;
        head?: never;
        /**
         * Change a pool
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchPool"];
        trace?: never;
    };
    "/api/v1/pools/{pool_id}/members": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List members
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listMembers"];
        put?: never;
        /**
         * Create a member
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createMember"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/pools/{pool_id}/members/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a member */
        get: operations["readMember"];
        /**
         * Replace a member
         * @description What the body does not name gets its default.
         */
        put: operations["replaceMember"];
        post?: never;
        /** Delete a member */
        delete: operations["deleteMember"];
        options?: never;
        head?: never;
        /**
         * Change a member
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchMember"];
        trace?: never;
    };
    "/api/v1/pools/{pool_id}/members/{id}/check": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Check a member now
         * @description Every monitor of its pool checks it at once, whatever its turn; a check that runs already counts. Server-sent events: `begun` with the `monitor_id`, then for each `result`, with what the check came to and the `state` that the monitor's results come to with it, and `done` at the end. A single result changes nothing unless it is the one that was missing: `rise` and `fall` hold as ever.
         */
        post: operations["checkMember"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List projects
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listProjects"];
        put?: never;
        /**
         * Create a project
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createProject"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/projects/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a project */
        get: operations["readProject"];
        /**
         * Replace a project
         * @description What the body does not name gets its default.
         */
        put: operations["replaceProject"];
        post?: never;
        /** Delete a project */
        delete: operations["deleteProject"];
        options?: never;
        head?: never;
        /**
         * Change a project
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchProject"];
        trace?: never;
    };
    "/api/v1/requests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the last requests
         * @description Those of services of protocol `http` and `https` that have ended, the newest first, as the layer-7 plane keeps them in memory: each of its workers the last of each service, at most 256 that ended well, and beside them 256 that did not or were answered with 5xx; with many services fewer, but 8 at least. A restart of the plane forgets them.
         */
        get: operations["listRequests"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/revisions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List revisions
         * @description Every accepted change of the configuration. The last 10,000 are kept.
         */
        get: operations["listRevisions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/revisions/{generation}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a revision
         * @description With what it changed, field by field.
         */
        get: operations["readRevision"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/revisions/{generation}/confirm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Keep a revision
         * @description Otherwise it reverts by itself: see `confirm_within`.
         */
        post: operations["confirmRevision"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/revisions/{generation}/revert": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Undo a revision
         * @description Undoes what this revision changed. What others have changed since is left as it is, and named in `kept`.
         */
        post: operations["revertRevision"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/revisions/{generation}/rollback": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Go back to a revision
         * @description Makes everything as it was when the configuration had this number. That is another revision: nothing is lost.
         */
        post: operations["rollBack"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/roles": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List roles */
        get: operations["listRoles"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/second-factor": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How it stands with your second factor */
        get: operations["readSecondFactor"];
        put?: never;
        /**
         * Begin with a second factor
         * @description Gives a secret for a device that shows codes (TOTP, RFC 6238). It is asked for once it is confirmed; begin again if that fails.
         */
        post: operations["enrolSecondFactor"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/second-factor/confirm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Confirm a second factor
         * @description From now on a code is asked for beside your password. A code is good once, and recovery codes in its place.
         */
        post: operations["confirmSecondFactor"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/second-factor/end": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Do without a second factor
         * @description The device's codes and the recovery codes are good for nothing any more.
         */
        post: operations["endSecondFactor"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List sessions
         * @description Your own; with the permission accounts:read everybody's.
         */
        get: operations["listSessions"];
        put?: never;
        /**
         * Sign in
         * @description After some failures an account is closed for a while, and longer each time.
         */
        post: operations["createSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/current": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who is signed in */
        get: operations["readSession"];
        put?: never;
        post?: never;
        /**
         * Sign out
         * @description Ends the session: none of its tokens is good any more. A browser loses its cookie.
         */
        delete: operations["deleteSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Get other tokens
         * @description Each refresh token is good once. Using one again ends the session: somebody has a copy.
         */
        post: operations["refreshSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/renew": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Renew the console's session
         * @description Gives the browser another token while its session lasts: 8 hours from the password at most. A token that a program holds is not renewed.
         */
        post: operations["renewSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/rotate-key": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Sign tokens with another key
         * @description Access tokens that were given are good until they end, in ten minutes at most. By itself the appliance takes another key every 30 days.
         */
        post: operations["rotateKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * End a session
         * @description One of your own; with the permission accounts:write anybody's. None of its tokens is good any more.
         */
        delete: operations["endSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/stats": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What the planes counted
         * @description Since it was started. Every frame is counted once on each side: `received + from_twin + originated = sent + punted + consumed + held + the sum of drops`.
         */
        get: operations["readStats"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/stats/history": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What was measured until now
         * @description Values for a chart: one for each step of time, for each metric of each resource that is asked for. Counters are told as rates per second (or, with `aggregation=sum`, by how much they rose in the step), gauges as they were. Everything is measured every second and kept so for an hour, and in tens of seconds for a day; of a gauge that is the greatest of the ten. A range that begins more than an hour ago is told in steps of ten seconds or multiples. Members are measured of pools of which one is down and of the busiest, a thousand members at most. A restart of penstockd leaves a gap, whose values are null; a crash loses at most the last 30 seconds.
         *
         *     The metrics are:
         *
         *     - `virtual-services`: `connections`, `connections_open`, `packets_in`, `bytes_in`, `packets_out`, `bytes_out`, `requests`, `requests_failed`, `answers_1xx`, `answers_2xx`, `answers_3xx`, `answers_4xx`, `answers_5xx`
         *     - `all-virtual-services`: `connections`, `connections_open`, `packets_in`, `bytes_in`, `packets_out`, `bytes_out`, `requests`, `requests_failed`, `answers_1xx`, `answers_2xx`, `answers_3xx`, `answers_4xx`, `answers_5xx`
         *     - `pools`: `connections`, `connections_open`, `packets_in`, `bytes_in`, `packets_out`, `bytes_out`, `requests`, `requests_failed`, `requests_open`, `members_up`, `members_down`
         *     - `members`: `connections`, `connections_open`, `packets_in`, `bytes_in`, `packets_out`, `bytes_out`, `requests`, `requests_failed`, `requests_open`, `up`, `check_ms`
         *     - `ports`: `packets_in`, `bytes_in`, `packets_out`, `bytes_out`, `missed`, `errors`, `up`
         *     - `workers`: `received`, `sent`, `dropped`, `flows`
         *     - `drops`: `dropped`
         *     - `processes`: `cpu_ms`, `memory_bytes`, `connected`
         *     - `appliance`: `received`, `sent`, `punted`, `dropped`, `held`, `flows`
         *
         *     For a line that goes on, ask again with a short `range_s`; the values of whole steps do not change any more.
         */
        get: operations["readStatsHistory"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How the appliance is
         * @description What is wanted and what is done, and which processes are connected.
         */
        get: operations["readStatus"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/system": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The slots, and the last update */
        get: operations["readSystem"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/system/factory-reset": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Forget everything and restart
         * @description Configuration, accounts, keys and certificates are gone, in both slots. The appliance then wants to be claimed.
         */
        post: operations["resetSystem"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/system/restart": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Restart the appliance
         * @description Of the slot that is `next`.
         */
        post: operations["restartSystem"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/system/rollback": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Start the other slot next
         * @description With the configuration that it had when it ran last. Nothing happens before the appliance is restarted.
         */
        post: operations["rollBackSystem"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/system/settings": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The machine's name, time and network */
        get: operations["readMachineSettings"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change them, on trial
         * @description A merge patch (RFC 7396). It is in force a moment later, and undone by itself unless `POST /api/v1/system/settings/confirm` comes in time: at the new address, if that is changed. So nobody is locked out.
         */
        patch: operations["patchMachineSettings"];
        trace?: never;
    };
    "/api/v1/system/settings/confirm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Keep the settings that are on trial */
        post: operations["confirmMachineSettings"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/system/shutdown": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Switch the appliance off
         * @description Somebody else has to switch it on again.
         */
        post: operations["shutDownSystem"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/system/support-bundle": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A file with what helps to find a fault
         * @description An archive (tar, gzip) with the configuration, its last revisions, events and audit entries, the status and statistics of all processes, and what the machine's own tools say: addresses, routes, packet filter, memory, disks, journal. Passwords, keys and tokens are not in it. What could not be had says why in its place.
         */
        get: operations["createSupportBundle"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/system/update": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Install an update
         * @description The body is an update (`.raucb`) as it was built. It is verified and written into the slot that does not run; `GET /system` shows when that is done. The next start is of the new release, with the configuration of then. If it does not work, the appliance goes back by itself.
         */
        put: operations["putUpdate"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List users
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listUsers"];
        put?: never;
        /**
         * Create a user
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createUser"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a user */
        get: operations["readUser"];
        /**
         * Replace a user
         * @description What the body does not name gets its default.
         */
        put: operations["replaceUser"];
        post?: never;
        /** Delete a user */
        delete: operations["deleteUser"];
        options?: never;
        head?: never;
        /**
         * Change a user
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchUser"];
        trace?: never;
    };
    "/api/v1/users/{id}/second-factor": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Take away a user's second factor
         * @description For one who has lost the device and the recovery codes: their password alone lets them in again.
         */
        delete: operations["takeSecondFactor"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/{user_id}/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List tokens
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listTokens"];
        put?: never;
        /**
         * Create a token
         * @description It may do what is listed and what its user may do, whichever is less, until it expires.
         */
        post: operations["createToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/{user_id}/tokens/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a token */
        get: operations["readToken"];
        /**
         * Replace a token
         * @description What the body does not name gets its default.
         */
        put: operations["replaceToken"];
        post?: never;
        /** Delete a token */
        delete: operations["deleteToken"];
        options?: never;
        head?: never;
        /**
         * Change a token
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchToken"];
        trace?: never;
    };
    "/api/v1/virtual-ips": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List virtual IPs
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listVirtualIps"];
        put?: never;
        /**
         * Create a virtual IP
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createVirtualIp"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/virtual-ips/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a virtual IP */
        get: operations["readVirtualIp"];
        /**
         * Replace a virtual IP
         * @description What the body does not name gets its default.
         */
        put: operations["replaceVirtualIp"];
        post?: never;
        /** Delete a virtual IP */
        delete: operations["deleteVirtualIp"];
        options?: never;
        head?: never;
        /**
         * Change a virtual IP
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchVirtualIp"];
        trace?: never;
    };
    "/api/v1/virtual-services": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List virtual services
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listVirtualServices"];
        put?: never;
        /**
         * Create a virtual service
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createVirtualService"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/virtual-services/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a virtual service */
        get: operations["readVirtualService"];
        /**
         * Replace a virtual service
         * @description What the body does not name gets its default.
         */
        put: operations["replaceVirtualService"];
        post?: never;
        /** Delete a virtual service */
        delete: operations["deleteVirtualService"];
        options?: never;
        head?: never;
        /**
         * Change a virtual service
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchVirtualService"];
        trace?: never;
    };
    "/api/v1/webhooks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List webhooks
         * @description Filters but `q` are exact, and all are joined by AND.
         */
        get: operations["listWebhooks"];
        put?: never;
        /**
         * Create a webhook
         * @description The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is forwarded by.
         */
        post: operations["createWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/webhooks/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a webhook */
        get: operations["readWebhook"];
        /**
         * Replace a webhook
         * @description What the body does not name gets its default.
         */
        put: operations["replaceWebhook"];
        post?: never;
        /** Delete a webhook */
        delete: operations["deleteWebhook"];
        options?: never;
        head?: never;
        /**
         * Change a webhook
         * @description A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.
         */
        patch: operations["patchWebhook"];
        trace?: never;
    };
    "/api/v1/webhooks/{id}/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Try a webhook out
         * @description Posts a message of type `webhook.test` at once, and says what came of it; it is not tried again.
         */
        post: operations["testWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the management answers */
        get: operations["readHealth"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What is collected by Prometheus and its like
         * @description OpenMetrics text. What was counted since each process was started, by virtual service, pool, member, worker, port, drop reason and process; units are in the names. A plane that does not answer is left out, and `penstock_process_connected` says so. Collect it with an API token that has `balancing:read`.
         */
        get: operations["readMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the appliance can do its work
         * @description Every process answers, and nothing that is wanted was refused. Which does not, `/status` says.
         */
        get: operations["readReadiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description What a backup says of itself. */
        AboutBackup: {
            /**
             * Format: date-time
             * @description When it was taken.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * @description The release that took it.
             * @example 0.1.0
             */
            version: string;
            /**
             * Format: int64
             * @description The number that the configuration had.
             * @example 7
             */
            generation: number;
            /**
             * @description Why it was taken.
             * @example before the sale
             */
            comment: string;
        };
        /**
         * @description What was done to a resource.
         * @enum {string}
         */
        Action: "create" | "update" | "delete";
        /**
         * @description An IP address.
         * @example 192.0.2.10
         */
        Address: string;
        /** @description What is sent to a member's agent before it says how the member is. */
        AgentSettings: {
            /**
             * @description A text to send once connected, written as for `tcp`; null: nothing.
             * @example web-1\n
             */
            send?: string | null;
        };
        /**
         * @description What becomes of the samples between two points of a chart.
         * @enum {string}
         */
        Aggregation: "avg" | "min" | "max" | "sum" | "last";
        /**
         * @description How a member is chosen for a new connection.
         *
         *     * `round_robin`: one after the other.
         *     * `weighted_round_robin`: one after the other, each as often as its weight says, spread evenly.
         *     * `least_connections`: the one with the fewest connections; `weighted_least_connections`: for its weight.
         *     * `shortest_expected_delay`: the one that would have the fewest connections for its weight with this one.
         *     * `never_queue`: one without connections; if all have some, as `shortest_expected_delay`.
         *     * `source_hash`: by the client's address: the same client always has the same member; `source_port_hash`: by its
         *       port too.
         *     * `maglev`: by addresses and ports of both ends, in a table that changes little when members come and go.
         *     * `power_of_two`: two are drawn, each as likely as its weight; the one with fewer connections for its weight.
         *     * `peak_ewma`: the one that would answer soonest: by how long its last answers took, of which a slow one counts at once and is
         *       forgotten slowly, how many requests it has, and its weight. Up to 64 members all are compared; of more, two that are drawn. Where
         *       packets are forwarded, and answers not seen, as `shortest_expected_delay`; for `tcp` and `tls` with forwarding `proxy` by how long
         *       connections to it took.
         *     * `ordered`: the one with the highest weight (of equal ones the first added), and the next one only when that has
         *       reached its `connection_limit` or takes no new connections.
         *
         *     Connections are counted by each worker for itself, so the algorithms that look at them balance each worker's.
         * @example round_robin
         * @enum {string}
         */
        Algorithm: "round_robin" | "weighted_round_robin" | "least_connections" | "weighted_least_connections" | "shortest_expected_delay" | "never_queue" | "source_hash" | "source_port_hash" | "maglev" | "power_of_two" | "peak_ewma" | "ordered";
        /** @description What was changed, or would be. */
        Applied: {
            /** @description Whether nothing was changed and this only says what would be. */
            dry_run: boolean;
            /**
             * Format: int64
             * @description The number that the configuration has with it.
             * @example 8
             */
            generation: number;
            /** @description What it changes; empty if nothing. */
            changes: components["schemas"]["Change"][];
            /** @description What others have changed since and was therefore left as it is, in words. */
            kept: components["schemas"]["Kept"][];
        };
        /** @description A policy that was asked. */
        AskedPolicyView: {
            /** @description The policy. */
            policy_id: components["schemas"]["Identifier"];
            /** @description Whether the request fits all its rules. */
            fits: boolean;
            /**
             * Format: int32
             * @description The place of the first rule that it does not fit, from 0; null if it fits.
             */
            misfit: number | null;
        };
        /**
         * @description Whom a token is for.
         * @example shop
         */
        Audience: string;
        /** @description A line of the audit log. */
        AuditEntry: {
            /**
             * Format: int64
             * @description Its number: one more than that of the line before.
             * @example 42
             */
            id: number;
            /**
             * Format: date-time
             * @description When it happened.
             * @example 2026-01-02T03:04:05.678Z
             */
            at: string;
            /**
             * @description The user; null if it was the appliance itself, or somebody who is not signed in.
             * @example 01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f
             */
            actor_id: string | null;
            /**
             * @description What they were called then.
             * @example admin
             */
            actor: string;
            /**
             * @description The address that it came from.
             * @example 192.0.2.7
             */
            source: string | null;
            /**
             * @description What was done or tried.
             * @example configuration.change
             */
            action: string;
            /** @description Whether it was let. */
            outcome: components["schemas"]["Outcome"];
            /** @description What exactly: for a change the `generation`, the `comment` and the `changes`, without secrets. */
            details: unknown;
            /**
             * @description SHA-256 over this line and the hash of the line before.
             * @example 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
             */
            hash: string;
        };
        AuditEntryList: {
            /** @description What is on this page. */
            items: components["schemas"]["AuditEntry"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description A backup that the appliance keeps. */
        Backup: components["schemas"]["AboutBackup"] & {
            /** @description What identifies it on this appliance. */
            id: components["schemas"]["Identifier"];
            /**
             * Format: int64
             * @description How long its file is.
             * @example 65536
             */
            size_bytes: number;
        };
        /** @description The backups that the appliance keeps. */
        BackupList: {
            /** @description The newest first. */
            items: components["schemas"]["Backup"][];
        };
        /** @description What seals a backup. */
        BackupOrder: {
            /**
             * Format: password
             * @description 12 characters or more. Without it nobody opens the backup, not even this appliance: keep it elsewhere.
             * @example weir and sluice
             */
            passphrase: string;
        };
        /** @description Names and passwords that clients must show (RFC 7617). The field `Authorization` does not reach the member. */
        BasicAuth: {
            /**
             * @description What the client is asked for a password of.
             * @default restricted
             * @example shop
             */
            realm?: string;
            /** @description Who is let in. Each has its password in `passwords`, at least the first time. */
            users: components["schemas"]["UserName"][];
            /**
             * @description The header field that tells the member who it is. What the client itself says there is taken off. Null: none.
             * @example x-user
             */
            user_header?: string | null;
        };
        /**
         * @description What becomes of new connections when too few members of a pool can take them.
         * @enum {string}
         */
        BelowMinHealthy: "refuse" | "all_members" | "backup_pool";
        /**
         * @description When a pool is left alone as a whole. What would be asked of it goes to another pool of the policy's, if there is one, and is
         *     answered with 503 at once otherwise (`circuit_open`). After `open_s` one request tries it: if that is served, so are all others. A failure
         *     is no answer, or one of 500 and above. Single members are `outlier`'s matter, how many requests there are at a time that of `connection_limit`
         *     and `queue`.
         */
        Breaker: {
            /**
             * Format: int32
             * @description So many of a hundred requests to the pool within ten seconds fail.
             * @default 50
             */
            percent?: number;
            /**
             * Format: int32
             * @description If there were so many at least.
             * @default 20
             */
            requests?: number;
            /**
             * Format: int32
             * @description For how many seconds it is left alone until one request tries it.
             * @default 10
             */
            open_s?: number;
        };
        CertificateList: {
            /** @description What is on this page. */
            items: components["schemas"]["CertificateView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description What is written and never shown. */
        CertificatePatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description The certificate, and after it those that lead to its root, as PEM; null while it is still to be signed. One that was signed for
             *     `csr` takes the key that was made for it.
             * @example -----BEGIN CERTIFICATE-----
             *     …
             */
            chain?: string | null;
            /** @description Its private key as PEM, without a passphrase: written and never shown. One that is not given stays as it is. */
            private_key?: string | null;
            /** @description A PKCS#12 file (`.p12`, `.pfx`) in base64: what is in it takes the place of `chain` and `private_key`. */
            pkcs12?: string | null;
            /**
             * Format: password
             * @description What opens `pkcs12`.
             * @example spillway
             */
            passphrase?: string | null;
        };
        /** @description What a certificate is to be for. */
        CertificateRequest: {
            /**
             * @description The names and addresses that it is for; the first is its common name, if it is short enough.
             * @example [
             *       "shop.example",
             *       "*.shop.example"
             *     ]
             */
            names: components["schemas"]["RequestedName"][];
            /**
             * @description The kind of key that is made for it.
             * @default ecdsa_p256
             */
            key?: components["schemas"]["KeyKind"];
            /**
             * @description The organisation.
             * @example Example Ltd
             */
            organization?: string | null;
            /**
             * @description Its unit.
             * @example Shop
             */
            organizational_unit?: string | null;
            /**
             * @description Its town.
             * @example Basel
             */
            locality?: string | null;
            /**
             * @description Its state or province.
             * @example Basel-Stadt
             */
            state?: string | null;
            /**
             * @description Its country: two letters (ISO 3166).
             * @example CH
             */
            country?: string | null;
        };
        /** @description What is written and never shown. */
        CertificateSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description The certificate, and after it those that lead to its root, as PEM; null while it is still to be signed. One that was signed for
             *     `csr` takes the key that was made for it.
             * @example -----BEGIN CERTIFICATE-----
             *     …
             */
            chain?: string | null;
            /** @description Its private key as PEM, without a passphrase: written and never shown. One that is not given stays as it is. */
            private_key?: string | null;
            /** @description A PKCS#12 file (`.p12`, `.pfx`) in base64: what is in it takes the place of `chain` and `private_key`. */
            pkcs12?: string | null;
            /**
             * Format: password
             * @description What opens `pkcs12`.
             * @example spillway
             */
            passphrase?: string | null;
        };
        /** @description What stands in the certificate, the first of its chain. */
        CertificateView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /** @description The project that it belongs to. */
            project_id: components["schemas"]["Identifier"];
            /**
             * @description The certificate, and after it those that lead to its root, as PEM; null while it is still to be signed. One that was signed for
             *     `csr` takes the key that was made for it.
             * @example -----BEGIN CERTIFICATE-----
             *     …
             */
            chain: string | null;
            /** @description The names that it is for; where it has none, the common name of its subject. */
            names: components["schemas"]["CertifiedName"][];
            /**
             * @description Who issued it.
             * @example CN=Example CA
             */
            issuer: string;
            /**
             * Format: date-time
             * @description From when it is valid.
             * @example 2026-01-02T03:04:05.678Z
             */
            not_before: string | null;
            /**
             * Format: date-time
             * @description Until when it is valid.
             * @example 2027-01-02T03:04:05.678Z
             */
            not_after: string | null;
            /**
             * @description SHA-256 over it, in hexadecimal.
             * @example 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
             */
            fingerprint: string;
            /**
             * @description What an authority is to sign (PKCS#10), as PEM; null where nothing is asked for.
             * @example -----BEGIN CERTIFICATE REQUEST-----
             *     …
             */
            csr: string | null;
        };
        /**
         * @description A name that a certificate is for.
         * @example shop.example
         */
        CertifiedName: string;
        /** @description A change of one resource, for readers. */
        Change: {
            /** @description What is done. */
            action: components["schemas"]["Action"];
            /**
             * @description The kind of resource, as in the configuration document.
             * @example virtual_services
             */
            resource: string;
            /** @description Which one. */
            id: components["schemas"]["Identifier"];
            parent_id: components["schemas"]["Identifier"] | null;
            /**
             * @description What it is called, or was.
             * @example shop
             */
            name: string;
            /** @description Each field that differs. */
            fields: components["schemas"]["FieldChange"][];
        };
        ChangesetList: {
            /** @description What is on this page. */
            items: components["schemas"]["ChangesetView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description Several edits that are made as one, or not at all. */
        ChangesetPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * @description The edits, in any order: what is created by one can be named by another if it was given its `id`.
             * @default []
             */
            operations?: components["schemas"]["Operation"][];
        };
        /** @description Several edits that are made as one, or not at all. */
        ChangesetSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * @description The edits, in any order: what is created by one can be named by another if it was given its `id`.
             * @default []
             */
            operations?: components["schemas"]["Operation"][];
        };
        /** @description What is shown of a kind that has nothing of its own to show. */
        ChangesetView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /**
             * @description The edits, in any order: what is created by one can be named by another if it was given its `id`.
             * @default []
             */
            operations: components["schemas"]["Operation"][];
        };
        /**
         * @description What a monitor does.
         * @example http
         * @enum {string}
         */
        CheckKind: "icmp" | "tcp" | "udp" | "tls" | "http" | "https" | "grpc" | "postgres" | "mysql" | "redis" | "agent";
        /**
         * @description What chose.
         * @example algorithm
         * @enum {string}
         */
        ChoiceBy: "connection" | "algorithm";
        /** @description Why a member has a packet. */
        ChoiceView: {
            /** @description `connection`: it has the connection; `algorithm`: it would be given it. */
            by: components["schemas"]["ChoiceBy"];
            algorithm: components["schemas"]["Algorithm"] | null;
            instead_of: components["schemas"]["Identifier"] | null;
        };
        /**
         * @description A network: an address and the length of its prefix.
         * @example 192.0.2.0/24
         */
        Cidr: string;
        /** @description The code that the console shows, and who will be the administrator. */
        Claim: {
            /**
             * @description The one-time code, as the console shows it.
             * @example 7K3M-9QWX-2B4D-HN8R-VT6Z
             */
            code: string;
            /**
             * @description What the administrator will be called.
             * @example admin
             */
            username: string;
            /**
             * Format: password
             * @description 12 characters or more, not one of the best known, and without the name.
             * @example sluice gate at dawn
             */
            password: string;
        };
        /** @description Clients show a certificate. Members are told of it: the certificate in `Client-Cert` (RFC 9440), its subject in `X-Client-Subject`. */
        ClientAuth: {
            /**
             * @description Whether a client without one is served too.
             * @default false
             */
            optional?: boolean;
            /**
             * @description The certificates of those who vouch for clients, as PEM.
             * @example -----BEGIN CERTIFICATE-----
             *     …
             */
            ca: string;
            /**
             * @description Lists of certificates that do not count any more, as PEM.
             * @example -----BEGIN X509 CRL-----
             *     …
             */
            crl?: string | null;
        };
        /**
         * @description A code or a range of codes.
         * @example 200-399
         */
        CodeRange: string;
        /**
         * @description A way to make an answer smaller.
         * @example br
         * @enum {string}
         */
        Coding: "br" | "zstd" | "gzip";
        /**
         * @description How a rule compares: `prefix` of a path means whole segments (`/api` fits `/api/v1` and not `/apix`); `regex` matches anywhere
         *     unless `^` and `$` say otherwise, in linear time; `present` is for `header`, `cookie` and `query`, `network` for `source`.
         * @example prefix
         * @enum {string}
         */
        Compare: "exact" | "prefix" | "suffix" | "contains" | "regex" | "present" | "network";
        /** @description Answers that are made smaller for clients that understand it. */
        Compression: {
            /**
             * @description By what, the best first: a client that likes several as well gets the first of these.
             * @default [
             *       "br",
             *       "zstd",
             *       "gzip"
             *     ]
             */
            codings?: components["schemas"]["Coding"][];
            /** @description Of which types, as `text/html` or `text/*`; without it those of pages, programs and data. */
            types?: components["schemas"]["MediaType"][];
            /**
             * Format: int32
             * @description Only those of so many bytes at least, where their length is known before.
             * @default 1024
             */
            min_bytes?: number;
        };
        /** @description How far the last change has come at one process. */
        Condition: {
            /**
             * @description `forwarding`: the layer-4 plane works by it; `proxying`: the layer-7 plane does; `host_applied`: addresses are held
             *     and packets steered.
             * @example forwarding
             */
            type: string;
            /**
             * @description Whether it is so.
             * @example true
             */
            status: boolean;
            /**
             * @description A word for programs: `applied`, `pending`, `refused`, `not_connected`.
             * @example applied
             */
            reason: string;
            /**
             * @description A sentence for people; empty where there is nothing to say.
             * @example
             */
            message: string;
            /**
             * Format: int64
             * @description The number of the configuration that this process works by.
             * @example 7
             */
            observed_generation: number;
        };
        /**
         * @description The whole configuration: under the name of each kind of resource a list of all of them, each with its `id` and
         *     with what belongs to it inside. Without `id`s they are matched by their names, and name each other by their names.
         */
        Configuration: Record<string, never>;
        /** @description A connection of the layer-4 plane. */
        Connection: {
            /**
             * @description What it is known by, as long as it lasts.
             * @example dGNwLDE5Mi4wLjIuNzo0MDAwMCwxOTIuMC4yLjEwOjgw
             */
            id: string;
            /** @description The transport protocol. */
            protocol: components["schemas"]["Transport"];
            /** @description Who asked for it. */
            client: components["schemas"]["End"];
            /** @description The virtual IP and port that it came to. */
            virtual_ip: components["schemas"]["End"];
            /** @description What the member sees as the other end: the client, or with full NAT a local address. */
            local: components["schemas"]["End"];
            /** @description The member's end. */
            member: components["schemas"]["End"];
            virtual_service_id: components["schemas"]["Identifier"] | null;
            pool_id: components["schemas"]["Identifier"] | null;
            member_id: components["schemas"]["Identifier"] | null;
            /** @description How far it is. */
            state: components["schemas"]["ConnectionState"];
            /**
             * Format: int64
             * @description For how many milliseconds nothing was heard.
             * @example 1300
             */
            idle_ms: number;
            /**
             * Format: int64
             * @description After how many milliseconds of silence it is forgotten.
             * @example 300000
             */
            timeout_ms: number;
            /**
             * Format: int32
             * @description The worker that has it, counted from 0.
             * @example 0
             */
            worker: number;
        };
        /** @description A part of the connections. */
        ConnectionList: {
            /** @description In no order that means anything. */
            items: components["schemas"]["Connection"][];
            /** @description The address of the next part; null at the end. */
            next: string | null;
        };
        /**
         * @description How far a connection is: `opening` until the handshake is done, or of UDP until a second datagram comes; `established`; `closing` once both ends
         *     have no more to send; `reset` once one end has reset it.
         * @example established
         * @enum {string}
         */
        ConnectionState: "opening" | "established" | "closing" | "reset";
        /** @description Which other pages may ask (CORS). */
        Cors: {
            /** @description Those of these origins, as `https://www.example`; `*`: all. */
            origins: components["schemas"]["Origin"][];
            /**
             * @description By these methods.
             * @default [
             *       "GET",
             *       "HEAD",
             *       "POST"
             *     ]
             */
            methods?: components["schemas"]["MethodName"][];
            /**
             * @description With these header fields, beside those that every page may send.
             * @default []
             */
            headers?: components["schemas"]["FieldName"][];
            /**
             * @description They may read these fields of answers, beside those that every page may read.
             * @default []
             */
            exposed_headers?: components["schemas"]["FieldName"][];
            /**
             * @description They may come with cookies. Not where `origins` has `*`.
             * @default false
             */
            credentials?: boolean;
            /**
             * Format: int32
             * @description So long a browser need not ask again beforehand.
             * @default 600
             */
            max_age_s?: number;
        };
        /** @description A token that was created. */
        CreatedToken: {
            /** @description Which it is. */
            id: components["schemas"]["Identifier"];
            /**
             * @description The token, to be sent as `Authorization: Bearer …`. It is shown here and never again.
             * @example pst_01975c1e8c1b7c3a9d550a1b2c3d4e5f_mZ0b
             */
            token: string;
        };
        /** @description Who signs in. */
        Credentials: {
            /**
             * @description The name.
             * @example admin
             */
            username: string;
            /**
             * Format: password
             * @description The password.
             * @example sluice gate at dawn
             */
            password: string;
            /**
             * @description What the device of your second factor shows, or a recovery code; null without one. If it is missing the answer is `second_factor_required`.
             * @example 287082
             */
            code?: string | null;
        };
        /** @description Who is signed in, and for how long. */
        CurrentSession: {
            /** @description The user. */
            user_id: components["schemas"]["Identifier"];
            /**
             * @description What they are called.
             * @example admin
             */
            username: string;
            /** @description What they may do. */
            role: components["schemas"]["Role"];
            project_id: components["schemas"]["Identifier"] | null;
            /** @description The same in single permissions; with an API token these may be fewer. */
            permissions: components["schemas"]["Permission"][];
            /**
             * Format: int64
             * @description Seconds for which the token is good.
             * @example 600
             */
            expires_in: number;
            /**
             * Format: int64
             * @description Seconds after which the password is asked for again, however often the token is renewed.
             * @example 28800
             */
            session_ends_in: number;
        };
        /**
         * @description Who asks a database, and which role it must have. Without a `password` of the monitor the database must let this user in
         *     without one from the appliance's address; it needs no rights. Checks do not speak TLS with databases.
         */
        DatabaseSettings: {
            /**
             * @description The user.
             * @default penstock
             * @example penstock
             */
            user?: string;
            /** @description The database, for PostgreSQL; null: `postgres`. */
            database?: string | null;
            /**
             * @description The role.
             * @default any
             */
            role?: components["schemas"]["ReplicationRole"];
            /**
             * Format: int32
             * @description So many seconds a replica may be behind (PostgreSQL); null: any number.
             */
            lag_max_s?: number | null;
        };
        /** @description How far telling a webhook has come. */
        Delivery: {
            /**
             * Format: int32
             * @description How often the event that is next was tried in vain.
             * @example 0
             */
            failures: number;
            /**
             * Format: date-time
             * @description When it is tried again; null: at once.
             */
            next_attempt_at: string | null;
            /**
             * Format: date-time
             * @description When an event was last posted.
             */
            last_attempt_at: string | null;
            /**
             * Format: date-time
             * @description When one was last taken.
             */
            last_success_at: string | null;
            /**
             * @description Why the last was not taken; null if it was.
             * @example it answered 503 Service Unavailable
             */
            last_error: string | null;
            /**
             * Format: int32
             * @description How many events were given up, each after a day.
             * @example 0
             */
            given_up: number;
        };
        /** @description A code of the device. */
        DeviceCode: {
            /**
             * @description Its six digits.
             * @example 287082
             */
            code: string;
        };
        /** @description What a device needs to show codes. */
        DeviceSecret: {
            /**
             * @description The secret, in base 32: SHA-1, six digits, thirty seconds.
             * @example GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ
             */
            secret: string;
            /**
             * @description The same for a QR code.
             * @example otpauth://totp/Penstock:admin?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Penstock&digits=6&period=30
             */
            uri: string;
        };
        /** @description A member that is left out although no check found it down. */
        EjectionStats: {
            /**
             * Format: int32
             * @description For how many seconds it still is.
             * @example 30
             */
            seconds_left: number;
            /**
             * Format: int32
             * @description The how manyeth time in a row it is.
             * @example 1
             */
            times: number;
            /**
             * @description Why: `consecutive` failures, or their `rate`.
             * @example consecutive
             */
            reason: string;
        };
        /** @description An address and a port. */
        End: {
            /** @description The address. */
            address: components["schemas"]["Address"];
            /**
             * Format: int32
             * @description The port.
             * @example 443
             */
            port: number;
        };
        /**
         * @description What both ends of a connection are told that is ended here.
         * @example silence
         * @enum {string}
         */
        Ended: "silence" | "reset";
        /** @description Something that happened. */
        Event: {
            /**
             * Format: int64
             * @description Its number: later ones have greater ones.
             * @example 42
             */
            id: number;
            /**
             * Format: date-time
             * @description When it happened.
             * @example 2026-01-02T03:04:05.678Z
             */
            at: string;
            /**
             * @description What kind of thing, for programs.
             * @example configuration.changed
             */
            kind: string;
            /** @description How much somebody should care. */
            severity: components["schemas"]["Severity"];
            /**
             * @description A sentence for people.
             * @example admin changed pool `web`
             */
            message: string;
            /**
             * @description The kind of resource that it is about; null where it is about none.
             * @example pools
             */
            resource: string | null;
            /**
             * @description Which one.
             * @example 01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f
             */
            resource_id: string | null;
            /** @description The same for programs: what is in it depends on `kind`. */
            data: unknown;
        };
        EventList: {
            /** @description What is on this page. */
            items: components["schemas"]["Event"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /**
         * @description A kind of events, or several.
         * @example member.*
         */
        EventPattern: string;
        /** @description What would become of a request. */
        ExplanationView: {
            /**
             * Format: int64
             * @description The number of the configuration that the plane works by.
             * @example 7
             */
            generation: number;
            /** @description The policies that were asked, in their order. The last one ended the search, or nobody was left. */
            policies: components["schemas"]["AskedPolicyView"][];
            pool_id: components["schemas"]["Identifier"] | null;
            member_id: components["schemas"]["Identifier"] | null;
            /**
             * @description The path and query that the member would see.
             * @example /cart?item=7
             */
            path: string;
            /** @description The header that the member would see. */
            headers: components["schemas"]["HeaderField"][];
            answer: components["schemas"]["OwnAnswerView"] | null;
        };
        /** @description A field that differs. */
        FieldChange: {
            /**
             * @description The field, as a JSON pointer (RFC 6901).
             * @example /port
             */
            pointer: string;
            /** @description What it was; null if it was not. */
            before: unknown;
            /** @description What it is; null if it is not. */
            after: unknown;
        };
        /** @description What is wrong with one field. */
        FieldError: {
            /**
             * @description The field, as a JSON pointer (RFC 6901) into the body; for a query parameter `?name`, for a header its name.
             * @example /port
             */
            pointer: string;
            /**
             * @description A word for programs.
             * @example out_of_range
             */
            code: string;
            /**
             * @description A sentence for people.
             * @example want a whole number from 1 to 65535
             */
            detail: string;
        };
        /**
         * @description The name of a header field.
         * @example x-shop
         */
        FieldName: string;
        /**
         * @description How what clients send reaches the members: `nat` rewrites the destination of packets and keeps the client's address;
         *     replies come back through the appliance. `full_nat` rewrites the source too: members see one of `local_addresses`, and need not
         *     have their route to the clients lead through the appliance. With `dr` (direct return) packets reach the member as they came, port
         *     included, and it answers the client itself: it must hold the virtual IP on an interface that does not announce it, and be
         *     on a network of the appliance's; connections are counted by what clients send. `tunnel` is the
         *     same for members further away, to whom packets are sent wrapped in others, as `tunnel` says. With `proxy` the appliance answers itself, over connections of its own.
         * @example nat
         * @enum {string}
         */
        Forwarding: "nat" | "full_nat" | "dr" | "tunnel" | "proxy";
        /**
         * @description Where every frame came from and went. Each is counted once on each side: `received + from_twin + originated =
         *     sent + punted + consumed + held + the sum of drops`.
         */
        FrameStats: {
            /**
             * Format: int64
             * @description Taken from the ports.
             */
            received: number;
            /**
             * Format: int64
             * @description Taken from the kernel's twins of owned ports.
             */
            from_twin: number;
            /**
             * Format: int64
             * @description Made by the plane itself.
             */
            originated: number;
            /**
             * Format: int64
             * @description Given to the ports.
             */
            sent: number;
            /**
             * Format: int64
             * @description Given to the kernel.
             */
            punted: number;
            /**
             * Format: int64
             * @description Ended here by intent.
             */
            consumed: number;
            /**
             * Format: int64
             * @description Waiting for a neighbour now.
             */
            held: number;
            /** @description Dropped, by reason; only reasons that occurred. */
            drops: {
                [key: string]: number;
            };
        };
        /** @description Which service is asked for. */
        GrpcSettings: {
            /**
             * @description Its name in the health service; empty: the server as a whole.
             * @default
             * @example shop.Cart
             */
            service?: string;
        };
        /** @description A change of one header field. */
        HeaderChange: {
            /** @description `set` gives it this value and no other, `add` one more, `remove` takes it off. */
            change: components["schemas"]["HeaderVerb"];
            /**
             * @description The field. Not those by which the proxy frames and passes on messages.
             * @example x-shop
             */
            name: string;
            /**
             * @description The value; null for `remove`.
             * @example yes
             */
            value?: string | null;
        };
        /** @description A header field. */
        HeaderField: {
            /**
             * @description Its name.
             * @example x-version
             */
            name: string;
            /**
             * @description Its value.
             * @example 2
             */
            value: string;
        };
        /**
         * @description A header: `Name: value`.
         * @example X-Probe: penstock
         */
        HeaderLine: string;
        /**
         * @description What is done to a header field.
         * @example set
         * @enum {string}
         */
        HeaderVerb: "set" | "add" | "remove";
        /** @description Whether the management answers. */
        Health: {
            /**
             * @description `ok`.
             * @example ok
             */
            status: string;
        };
        /**
         * @description What is asked of a second member as well, when the first one takes long: whichever answers first serves the client, the other request
         *     is taken back. Only what can be asked twice without harm (GET, HEAD, OPTIONS, PUT, DELETE without a body), of clients that keep no member, and out
         *     of the budget of `retries`.
         */
        Hedge: {
            /**
             * Format: int32
             * @description After how many milliseconds without an answer.
             * @example 200
             */
            delay_ms: number;
        };
        /** @description An address of a host, and a port. */
        Host: {
            /** @description The address. */
            address: components["schemas"]["Address"];
            /**
             * Format: int32
             * @description The port.
             * @example 443
             */
            port: number;
        };
        /**
         * @description A name or an address of a host.
         * @example ntp.example.net
         */
        HostName: string;
        /** @description Tells browsers with every answer to speak nothing but TLS with this name (RFC 6797). */
        Hsts: {
            /**
             * Format: int32
             * @description For so many seconds.
             * @default 31536000
             */
            max_age_s?: number;
            /**
             * @description With all names below it too.
             * @default false
             */
            include_subdomains?: boolean;
            /**
             * @description Browsers may know of it beforehand.
             * @default false
             */
            preload?: boolean;
        };
        /** @description How a page is asked for, and what must come back. */
        HttpSettings: {
            /**
             * @description The version of HTTP. 2 without TLS is spoken at once, as gRPC does; inside of TLS it must be agreed on.
             * @default 1.1
             */
            version?: components["schemas"]["HttpVersion"];
            /**
             * @description `GET`, `HEAD` or `OPTIONS`.
             * @default GET
             * @example GET
             */
            method?: string;
            /**
             * @description The path, with its query.
             * @default /
             * @example /health
             */
            path?: string;
            /**
             * @description What is sent as `Host`; null: the member's address.
             * @example shop.example
             */
            host?: string | null;
            /**
             * @description More headers, each as `Name: value`.
             * @default []
             * @example [
             *       "X-Probe: penstock"
             *     ]
             */
            headers?: components["schemas"]["HeaderLine"][];
            /**
             * @description The codes that are well, one by one or as ranges.
             * @default [
             *       "200-399"
             *     ]
             * @example [
             *       "200",
             *       "301-302"
             *     ]
             */
            codes?: components["schemas"]["CodeRange"][];
            /**
             * @description A regular expression that the first 64 KiB of the body must match.
             * @example "status": *"ok"
             */
            body?: string | null;
        };
        /**
         * @description A version of HTTP.
         * @enum {string}
         */
        HttpVersion: "1.1" | "2";
        /** @description How a page is asked for, and what must come back. */
        HttpsSettings: {
            /**
             * @description The version of HTTP. 2 without TLS is spoken at once, as gRPC does; inside of TLS it must be agreed on.
             * @default 1.1
             */
            version?: components["schemas"]["HttpVersion"];
            /**
             * @description `GET`, `HEAD` or `OPTIONS`.
             * @default GET
             * @example GET
             */
            method?: string;
            /**
             * @description The path, with its query.
             * @default /
             * @example /health
             */
            path?: string;
            /**
             * @description What is sent as `Host`; null: the member's address.
             * @example shop.example
             */
            host?: string | null;
            /**
             * @description More headers, each as `Name: value`.
             * @default []
             * @example [
             *       "X-Probe: penstock"
             *     ]
             */
            headers?: components["schemas"]["HeaderLine"][];
            /**
             * @description The codes that are well, one by one or as ranges.
             * @default [
             *       "200-399"
             *     ]
             * @example [
             *       "200",
             *       "301-302"
             *     ]
             */
            codes?: components["schemas"]["CodeRange"][];
            /**
             * @description A regular expression that the first 64 KiB of the body must match.
             * @example "status": *"ok"
             */
            body?: string | null;
            /**
             * @description The name that is asked for and that must be in the certificate; null: none is asked for.
             * @example shop.example
             */
            server_name?: string | null;
        };
        /** @description A ping needs nothing. */
        IcmpSettings: Record<string, never>;
        /**
         * Format: uuid
         * @description What identifies a resource: a UUID.
         * @example 01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f
         */
        Identifier: string;
        /** @description How an interface is reached, and what is behind it. */
        Interface: {
            /**
             * @description Its address and the length of its network's prefix; null: management asks DHCP, a port has none.
             * @example 192.0.2.10/24
             */
            address: string | null;
            /**
             * @description Where everything goes for which there is no other way; null: nowhere, or where DHCP says.
             * @example 192.0.2.1
             */
            gateway: string | null;
            /** @description Networks behind other gateways. */
            routes: components["schemas"]["NetworkRoute"][];
        };
        /** @description A token that clients must show. Its algorithm is the key's, never the token's choice; `exp` must be there, and `nbf` counts if it is. */
        Jwt: {
            /**
             * @description The public keys of who signs the tokens: the JSON document that the issuer publishes (RFC 7517), as text.
             * @example {"keys": []}
             */
            jwks: string;
            /**
             * @description Who must have issued it (`iss`); null: anybody with one of these keys.
             * @example https://login.example
             */
            issuer?: string | null;
            /**
             * @description Whom it must be for (`aud`): one of these. Empty: anybody.
             * @default []
             */
            audiences?: components["schemas"]["Audience"][];
            /**
             * Format: int32
             * @description How much clocks may differ.
             * @default 30
             */
            leeway_s?: number;
            /**
             * @description The header field that tells the member whose token it is (`sub`). What the client itself says there is taken off. Null: none.
             * @example x-user
             */
            subject_header?: string | null;
        };
        /**
         * @description Something that was left as it is.
         * @example pool `web`
         */
        Kept: string;
        /**
         * @description A kind of key.
         * @enum {string}
         */
        KeyKind: "ecdsa_p256" | "ecdsa_p384" | "rsa_2048" | "rsa_3072" | "rsa_4096";
        /** @description The result of a check. */
        LastCheck: {
            /**
             * Format: date-time
             * @description When it came.
             * @example 2026-01-02T03:04:05.678Z
             */
            time: string;
            /** @description Whether the member was well. */
            passed: boolean;
            /** @description Whether somebody should look all the same: its certificate ends soon. */
            warning: boolean;
            /**
             * Format: int32
             * @description A number of the protocol, as an HTTP status; null where there is none.
             * @example 503
             */
            code: number | null;
            /**
             * @description What was seen, and what was wanted if that is something else.
             * @example HTTP 503, want 200-399
             */
            words: string;
            /**
             * Format: int32
             * @description Milliseconds that it took.
             * @example 3
             */
            duration_ms: number;
        };
        /** @description Those that took no longer than this, but longer than the next lower bound. */
        LatencyBucket: {
            /**
             * Format: int64
             * @description The bound, in microseconds; null for all that took longer than the highest.
             * @example 250
             */
            up_to_us: number | null;
            /**
             * Format: int64
             * @description How many.
             */
            count: number;
        };
        /** @description How often something took how long. */
        LatencyStats: {
            /** @description How many took so long; only where there are any. */
            buckets: components["schemas"]["LatencyBucket"][];
            /**
             * Format: int64
             * @description All of them together, in microseconds.
             */
            sum_us: number;
        };
        /** @description A packet that leaves. */
        LeavingView: {
            /**
             * @description The port.
             * @example back
             */
            port: string;
            next_hop: components["schemas"]["Address"] | null;
            packet: components["schemas"]["PacketEndsView"] | null;
            /**
             * @description All of it in hexadecimal; if it is cut, the first piece.
             * @example 02000000020b020000000002
             */
            frame: string;
        };
        /**
         * @description Whose requests are counted together.
         * @example source
         * @enum {string}
         */
        LimitKey: "service" | "source" | "header";
        /** @description Something that goes on, or went on, without its client. */
        LongOperation: {
            /** @description Which it is. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What is done, by the name that this description gives it.
             * @example takeBackup
             */
            operation: string;
            /** @description How far it is. */
            state: components["schemas"]["OperationState"];
            /**
             * Format: date-time
             * @description When it began.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it ended; null as long as it runs.
             */
            ended_at: string | null;
            /**
             * Format: int32
             * @description The status of its answer; null as long as it runs.
             * @example 201
             */
            status: number | null;
            /**
             * @description The address of what it made; null if it made nothing.
             * @example /api/v1/backups/01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f
             */
            location: string | null;
            /** @description Its answer, as who had waited for it had got it; null as long as it runs, and if it failed. */
            result: unknown;
            problem: components["schemas"]["Problem"] | null;
        };
        /**
         * Format: double
         * @description A value of a chart; null where nothing was measured.
         * @example 12.5
         */
        Measured: number | null;
        /**
         * @description What an answer is.
         * @example text/html
         */
        MediaType: string;
        MemberList: {
            /** @description What is on this page. */
            items: components["schemas"]["MemberView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description One server of a pool. Without a name it is called by its address and port. */
        MemberPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * Format: ip
             * @description The server's IPv4 or IPv6 address. Where clients' packets are forwarded (`nat`, `dr`) it is of the same family as the
             *     addresses that the service is offered on.
             * @example 198.51.100.11
             */
            address?: string;
            /**
             * Format: int32
             * @description The port it serves on; address and port are unique in the pool.
             * @example 8080
             */
            port?: number;
            /**
             * @description `enabled` takes new connections, `drain` only keeps those it has, `disabled` serves nothing, as does a
             *     member with `enabled: false`.
             * @default enabled
             */
            state?: components["schemas"]["MemberState"];
            /**
             * Format: int32
             * @description Its share of new connections beside the others', for algorithms that heed weights. With 0 it takes none, whatever
             *     the algorithm, and keeps those it has.
             * @default 1
             * @example 10
             */
            weight?: number;
            /**
             * @description A backup takes new connections only while no other member takes any.
             * @default false
             */
            backup?: boolean;
            /**
             * Format: int32
             * @description How many connections it may have at a time, over all services; with null, as many as come.
             * @example 1000
             */
            connection_limit?: number | null;
        };
        /**
         * @description What members speak.
         * @example tcp
         * @enum {string}
         */
        MemberProtocol: "tcp" | "udp";
        /** @description One server of a pool. Without a name it is called by its address and port. */
        MemberSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * Format: ip
             * @description The server's IPv4 or IPv6 address. Where clients' packets are forwarded (`nat`, `dr`) it is of the same family as the
             *     addresses that the service is offered on.
             * @example 198.51.100.11
             */
            address: string;
            /**
             * Format: int32
             * @description The port it serves on; address and port are unique in the pool.
             * @example 8080
             */
            port: number;
            /**
             * @description `enabled` takes new connections, `drain` only keeps those it has, `disabled` serves nothing, as does a
             *     member with `enabled: false`.
             * @default enabled
             */
            state?: components["schemas"]["MemberState"];
            /**
             * Format: int32
             * @description Its share of new connections beside the others', for algorithms that heed weights. With 0 it takes none, whatever
             *     the algorithm, and keeps those it has.
             * @default 1
             * @example 10
             */
            weight?: number;
            /**
             * @description A backup takes new connections only while no other member takes any.
             * @default false
             */
            backup?: boolean;
            /**
             * Format: int32
             * @description How many connections it may have at a time, over all services; with null, as many as come.
             * @example 1000
             */
            connection_limit?: number | null;
        };
        /**
         * @description Whether a member takes new connections and keeps its old ones.
         * @example enabled
         * @enum {string}
         */
        MemberState: "enabled" | "drain" | "disabled";
        /** @description What a member was given by a service, and gave back. */
        MemberStats: {
            /** @description The virtual service. */
            virtual_service_id: components["schemas"]["Identifier"];
            /** @description The member. */
            member_id: components["schemas"]["Identifier"];
            /**
             * Format: int64
             * @description Connections that were given to it.
             */
            connections: number;
            /**
             * Format: int64
             * @description Connections that it has now.
             */
            active: number;
            /**
             * Format: int64
             * @description Packets from clients.
             */
            packets_in: number;
            /**
             * Format: int64
             * @description Bytes from clients, as IP packets.
             */
            bytes_in: number;
            /**
             * Format: int64
             * @description Packets to clients.
             */
            packets_out: number;
            /**
             * Format: int64
             * @description TCP connections that it reset before they were open, and openings that were asked for again.
             */
            unopened: number;
            /**
             * Format: int64
             * @description Bytes to clients, as IP packets.
             */
            bytes_out: number;
        };
        /** @description How TLS is spoken with members. */
        MemberTls: {
            /**
             * @description Whether members must show a certificate that `ca` vouches for, with the right name. Without it anybody is taken for a member.
             * @default true
             */
            verify?: boolean;
            /**
             * @description The certificates of those who vouch, as PEM.
             * @example -----BEGIN CERTIFICATE-----
             *     …
             */
            ca?: string | null;
            /**
             * @description The name that members are asked for and must show; with null, each its own address.
             * @example internal.shop.example
             */
            server_name?: string | null;
            certificate_id?: components["schemas"]["Identifier"] | null;
        };
        /** @description What its checks saw of a member. */
        MemberView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /**
             * Format: ip
             * @description The server's IPv4 or IPv6 address. Where clients' packets are forwarded (`nat`, `dr`) it is of the same family as the
             *     addresses that the service is offered on.
             * @example 198.51.100.11
             */
            address: string;
            /**
             * Format: int32
             * @description The port it serves on; address and port are unique in the pool.
             * @example 8080
             */
            port: number;
            /**
             * @description `enabled` takes new connections, `drain` only keeps those it has, `disabled` serves nothing, as does a
             *     member with `enabled: false`.
             * @default enabled
             */
            state: components["schemas"]["MemberState"];
            /**
             * Format: int32
             * @description Its share of new connections beside the others', for algorithms that heed weights. With 0 it takes none, whatever
             *     the algorithm, and keeps those it has.
             * @default 1
             * @example 10
             */
            weight: number;
            /**
             * @description A backup takes new connections only while no other member takes any.
             * @default false
             */
            backup: boolean;
            /**
             * Format: int32
             * @description How many connections it may have at a time, over all services; with null, as many as come.
             * @example 1000
             */
            connection_limit: number | null;
            last_check: components["schemas"]["LastCheck"] | null;
            /**
             * Format: date-time
             * @description Since when it has been up or down; null where nobody watches it.
             * @example 2026-01-02T03:04:05.678Z
             */
            last_change: string | null;
            /**
             * Format: int64
             * @description How often it came up since penstockd was started.
             */
            times_up: number;
            /**
             * Format: int64
             * @description How often it went down since then.
             */
            times_down: number;
            /**
             * Format: int64
             * @description How often it was suspected since then: connections to it or requests did not come about, as the planes saw them. It is
             *     checked at once then.
             */
            times_suspected: number;
            /**
             * Format: int32
             * @description How much of its weight it is given now, in percent: less than all while it warms up after it came back, or if it says so.
             * @example 100
             */
            share: number;
            /** @description What each monitor of its pool saw. */
            checks: components["schemas"]["MonitorResults"][];
        };
        /**
         * @description A method.
         * @example GET
         */
        MethodName: string;
        /**
         * @description Whether a number only rises.
         * @enum {string}
         */
        MetricKind: "counter" | "gauge";
        /**
         * @description A pool that gets copies of requests. Its members are asked as those of any pool are, and nothing is asked of them twice. A body goes along up to
         *     128 KiB, once it has come whole; a request with a larger one, one for a WebSocket, or one that comes while each worker has 256 copies on
         *     their way is not copied.
         */
        Mirror: {
            /** @description The pool. */
            pool_id: components["schemas"]["Identifier"];
            /**
             * Format: int32
             * @description Of a hundred requests it gets so many.
             * @default 100
             * @example 10
             */
            percent?: number;
        };
        MonitorList: {
            /** @description What is on this page. */
            items: components["schemas"]["MonitorView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description How a monitor is written and shown. */
        MonitorPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description What is done: `icmp` pings; `tcp` connects, and can send something and expect an answer; `udp` sends something and
             *     wants an answer; `tls` shakes hands and looks at the certificate; `http` and `https` ask for a page; `grpc` asks the
             *     standard health service; `postgres`, `mysql` and `redis` ask for the role in the replication; `agent` lets the member
             *     say itself how it is (the agent protocol of `HAProxy`): one line of words, `up` or `down`, `drain` or `ready`, and a share
             *     of its weight as `75%`; what follows a `#` is the reason.
             */
            kind?: components["schemas"]["CheckKind"];
            /**
             * @description What this kind needs beside: `TcpSettings` for `tcp`, and so on; `DatabaseSettings` for `postgres` and `mysql`,
             *     `RoleSettings` for `redis`; nothing for `icmp`.
             * @default {}
             */
            settings?: components["schemas"]["MonitorSettings"];
            /**
             * Format: int32
             * @description Milliseconds from one check to the next of a member.
             * @default 5000
             * @example 5000
             */
            interval_ms?: number;
            /**
             * Format: int32
             * @description The same for a member that is down; null: as for others.
             */
            down_interval_ms?: number | null;
            /**
             * Format: int32
             * @description Milliseconds that a check may take, not more than `interval_ms`; 2000 or, if that is less, the interval.
             * @example 2000
             */
            timeout_ms?: number | null;
            /**
             * Format: int32
             * @description So many checks in a row must pass before a member that is down is up. More if it went down often lately.
             * @default 2
             */
            rise?: number;
            /**
             * Format: int32
             * @description So many checks in a row must fail before a member that is up is down.
             * @default 3
             */
            fall?: number;
            /**
             * Format: int32
             * @description So much less than the interval a pause is at most, another part of it each time, so that checks do not fall into step.
             * @default 10
             */
            jitter_percent?: number;
            /**
             * @description The password for `postgres` (SCRAM-SHA-256 or in clear), `mysql` (native or cached SHA-256) and `redis`: written and never
             *     shown. One that is not given stays as it is; an empty one takes it away.
             */
            password?: string | null;
            /**
             * Format: ip
             * @description Another address to check in the place of the member's.
             */
            address?: string | null;
            /**
             * Format: int32
             * @description Another port to check in the place of the member's.
             */
            port?: number | null;
            /**
             * @description Whether the check travels as clients' packets do, by way of each layer-4 service that the member serves (NAT, full NAT,
             *     direct return, tunnel) and in its mode: a member can be well and be out of reach that way. Only for pools of layer-4
             *     services; not with `address`, `port` or `icmp`.
             * @default false
             */
            via_forwarding?: boolean;
        };
        /** @description What one monitor saw of a member. */
        MonitorResults: {
            /** @description The monitor. */
            monitor_id: components["schemas"]["Identifier"];
            /**
             * @description What its results came to: `up`, `down` or `unknown`.
             * @example up
             */
            state: string;
            /** @description Its last results, the newest first. */
            results: components["schemas"]["LastCheck"][];
        };
        /** @description What a kind of monitor needs. */
        MonitorSettings: components["schemas"]["IcmpSettings"] | components["schemas"]["TcpSettings"] | components["schemas"]["UdpSettings"] | components["schemas"]["TlsSettings"] | components["schemas"]["HttpSettings"] | components["schemas"]["HttpsSettings"] | components["schemas"]["GrpcSettings"] | components["schemas"]["DatabaseSettings"] | components["schemas"]["RoleSettings"] | components["schemas"]["AgentSettings"];
        /** @description How a monitor is written and shown. */
        MonitorSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description What is done: `icmp` pings; `tcp` connects, and can send something and expect an answer; `udp` sends something and
             *     wants an answer; `tls` shakes hands and looks at the certificate; `http` and `https` ask for a page; `grpc` asks the
             *     standard health service; `postgres`, `mysql` and `redis` ask for the role in the replication; `agent` lets the member
             *     say itself how it is (the agent protocol of `HAProxy`): one line of words, `up` or `down`, `drain` or `ready`, and a share
             *     of its weight as `75%`; what follows a `#` is the reason.
             */
            kind: components["schemas"]["CheckKind"];
            /**
             * @description What this kind needs beside: `TcpSettings` for `tcp`, and so on; `DatabaseSettings` for `postgres` and `mysql`,
             *     `RoleSettings` for `redis`; nothing for `icmp`.
             * @default {}
             */
            settings?: components["schemas"]["MonitorSettings"];
            /**
             * Format: int32
             * @description Milliseconds from one check to the next of a member.
             * @default 5000
             * @example 5000
             */
            interval_ms?: number;
            /**
             * Format: int32
             * @description The same for a member that is down; null: as for others.
             */
            down_interval_ms?: number | null;
            /**
             * Format: int32
             * @description Milliseconds that a check may take, not more than `interval_ms`; 2000 or, if that is less, the interval.
             * @example 2000
             */
            timeout_ms?: number | null;
            /**
             * Format: int32
             * @description So many checks in a row must pass before a member that is down is up. More if it went down often lately.
             * @default 2
             */
            rise?: number;
            /**
             * Format: int32
             * @description So many checks in a row must fail before a member that is up is down.
             * @default 3
             */
            fall?: number;
            /**
             * Format: int32
             * @description So much less than the interval a pause is at most, another part of it each time, so that checks do not fall into step.
             * @default 10
             */
            jitter_percent?: number;
            /**
             * @description The password for `postgres` (SCRAM-SHA-256 or in clear), `mysql` (native or cached SHA-256) and `redis`: written and never
             *     shown. One that is not given stays as it is; an empty one takes it away.
             */
            password?: string | null;
            /**
             * Format: ip
             * @description Another address to check in the place of the member's.
             */
            address?: string | null;
            /**
             * Format: int32
             * @description Another port to check in the place of the member's.
             */
            port?: number | null;
            /**
             * @description Whether the check travels as clients' packets do, by way of each layer-4 service that the member serves (NAT, full NAT,
             *     direct return, tunnel) and in its mode: a member can be well and be out of reach that way. Only for pools of layer-4
             *     services; not with `address`, `port` or `icmp`.
             * @default false
             */
            via_forwarding?: boolean;
        };
        /** @description What is shown of a kind that has nothing of its own to show. */
        MonitorView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /** @description The project that it belongs to. */
            project_id: components["schemas"]["Identifier"];
            /**
             * @description What is done: `icmp` pings; `tcp` connects, and can send something and expect an answer; `udp` sends something and
             *     wants an answer; `tls` shakes hands and looks at the certificate; `http` and `https` ask for a page; `grpc` asks the
             *     standard health service; `postgres`, `mysql` and `redis` ask for the role in the replication; `agent` lets the member
             *     say itself how it is (the agent protocol of `HAProxy`): one line of words, `up` or `down`, `drain` or `ready`, and a share
             *     of its weight as `75%`; what follows a `#` is the reason.
             */
            kind: components["schemas"]["CheckKind"];
            /**
             * @description What this kind needs beside: `TcpSettings` for `tcp`, and so on; `DatabaseSettings` for `postgres` and `mysql`,
             *     `RoleSettings` for `redis`; nothing for `icmp`.
             * @default {}
             */
            settings: components["schemas"]["MonitorSettings"];
            /**
             * Format: int32
             * @description Milliseconds from one check to the next of a member.
             * @default 5000
             * @example 5000
             */
            interval_ms: number;
            /**
             * Format: int32
             * @description The same for a member that is down; null: as for others.
             */
            down_interval_ms: number | null;
            /**
             * Format: int32
             * @description Milliseconds that a check may take, not more than `interval_ms`; 2000 or, if that is less, the interval.
             * @example 2000
             */
            timeout_ms: number | null;
            /**
             * Format: int32
             * @description So many checks in a row must pass before a member that is down is up. More if it went down often lately.
             * @default 2
             */
            rise: number;
            /**
             * Format: int32
             * @description So many checks in a row must fail before a member that is up is down.
             * @default 3
             */
            fall: number;
            /**
             * Format: int32
             * @description So much less than the interval a pause is at most, another part of it each time, so that checks do not fall into step.
             * @default 10
             */
            jitter_percent: number;
            /**
             * @description The password for `postgres` (SCRAM-SHA-256 or in clear), `mysql` (native or cached SHA-256) and `redis`: written and never
             *     shown. One that is not given stays as it is; an empty one takes it away.
             */
            password: string | null;
            /**
             * Format: ip
             * @description Another address to check in the place of the member's.
             */
            address: string | null;
            /**
             * Format: int32
             * @description Another port to check in the place of the member's.
             */
            port: number | null;
            /**
             * @description Whether the check travels as clients' packets do, by way of each layer-4 service that the member serves (NAT, full NAT,
             *     direct return, tunnel) and in its mode: a member can be well and be out of reach that way. Only for pools of layer-4
             *     services; not with `address`, `port` or `icmp`.
             * @default false
             */
            via_forwarding: boolean;
        };
        /**
         * @description Which monitors must say that a member is well.
         * @enum {string}
         */
        MonitorsNeeded: "all" | "any";
        /** @description A network that is reached through a gateway. */
        NetworkRoute: {
            /**
             * @description The network.
             * @example 10.9.0.0/16
             */
            destination: string;
            /**
             * @description A host of the interface's own network.
             * @example 192.0.2.254
             */
            gateway: string;
        };
        /** @description What decides whether a client may. */
        NetworkRuleView: {
            network: components["schemas"]["Cidr"] | null;
            /** @description Whether it may. */
            allowed: boolean;
        };
        /**
         * @description Whether a resource serves, as far as is known.
         * @enum {string}
         */
        Operating: "unknown" | "online" | "degraded" | "draining" | "offline";
        /** @description One edit. */
        Operation: {
            /** @description What is done. */
            action: components["schemas"]["Action"];
            /**
             * @description The kind of resource, as in the configuration document.
             * @example pools
             */
            resource: string;
            id?: components["schemas"]["Identifier"] | null;
            parent_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description What is written: all of one that is created, a merge patch (RFC 7396) of one that is changed.
             *
             *     What is never shown of a resource, as a private key, is not shown here either; it stays as it is until the operation is written with another one.
             */
            document?: Record<string, never>;
        };
        /** @description The operations that one began. */
        OperationList: {
            /** @description The newest first. */
            items: components["schemas"]["LongOperation"][];
        };
        /**
         * @description How far an operation is.
         * @enum {string}
         */
        OperationState: "running" | "succeeded" | "failed";
        /**
         * @description Where a page comes from.
         * @example https://www.shop.example
         */
        Origin: string;
        /**
         * @description Whether something was let.
         * @enum {string}
         */
        Outcome: "succeeded" | "denied";
        /**
         * @description When a member of an HTTP service is left out although no check found it down. A failure is no answer, or one of 500 and above. If
         *     nobody else is left it is asked all the same.
         */
        Outlier: {
            /**
             * Format: int32
             * @description So many failures in a row.
             * @default 5
             */
            consecutive?: number;
            /**
             * Format: int32
             * @description Or so many of a hundred requests within ten seconds, of twenty at least; null: however many.
             * @example 50
             */
            percent?: number | null;
            /**
             * Format: int32
             * @description For how many seconds the first time; twice as long each time after it, up to ten minutes.
             * @default 30
             */
            ejection_s?: number;
            /**
             * Format: int32
             * @description How many of a hundred members are left out at most at a time.
             * @default 50
             */
            max_percent?: number;
        };
        /** @description An answer that no member gave. */
        OwnAnswerView: {
            /**
             * Format: int32
             * @description Its status.
             * @example 302
             */
            status: number;
            /** @description Its header. */
            headers: components["schemas"]["HeaderField"][];
        };
        /** @description The password of who is signed in. */
        OwnPassword: {
            /**
             * Format: password
             * @description The password.
             * @example sluice gate at dawn
             */
            password: string;
        };
        /** @description Both ends of a packet. */
        PacketEndsView: {
            /** @description The transport protocol. */
            protocol: components["schemas"]["Transport"];
            /** @description Where it comes from. */
            source: components["schemas"]["End"];
            /** @description Where it goes. */
            destination: components["schemas"]["End"];
        };
        /** @description What would become of a packet. */
        PacketExplanationView: {
            /**
             * Format: int64
             * @description The number of the configuration that the plane forwards by.
             * @example 7
             */
            generation: number;
            /**
             * @description The port that it comes in by.
             * @example front
             */
            port: string;
            /**
             * Format: int32
             * @description The worker that decides, counted from 0.
             * @example 0
             */
            worker: number;
            packet: components["schemas"]["PacketEndsView"] | null;
            virtual_service_id: components["schemas"]["Identifier"] | null;
            network: components["schemas"]["NetworkRuleView"] | null;
            connection: components["schemas"]["Connection"] | null;
            pool_id: components["schemas"]["Identifier"] | null;
            member_id: components["schemas"]["Identifier"] | null;
            choice: components["schemas"]["ChoiceView"] | null;
            /** @description How it ends. */
            verdict: components["schemas"]["VerdictWord"];
            /**
             * @description Why it is dropped, or answered: a word of `drops` in the statistics; null if it is neither.
             * @example no_member
             */
            reason: string | null;
            leaves: components["schemas"]["LeavingView"] | null;
        };
        /** @description Where a packet comes from and goes. */
        PacketHeaders: {
            /**
             * @description The transport protocol: `tcp` or `udp`.
             * @default tcp
             * @example tcp
             */
            protocol?: string;
            /** @description Where it comes from. */
            source: components["schemas"]["Host"];
            /** @description Where it goes. */
            destination: components["schemas"]["Host"];
            /**
             * @description The control bits of TCP: `fin`, `syn`, `rst`, `psh`, `ack`.
             * @default [
             *       "syn"
             *     ]
             */
            flags?: components["schemas"]["TcpFlag"][];
        };
        /** @description A packet to be explained: either `packet` or `frame`. */
        PacketSettings: {
            packet?: components["schemas"]["PacketHeaders"] | null;
            /**
             * @description A captured Ethernet frame in hexadecimal, as the appliance received it, with its headers; spaces and colons do not count. Null if it is not.
             * @example 020000000001020000000009 0800 4500 0028
             */
            frame?: string | null;
            /**
             * @description The port that it comes in by; null: of a captured one the first, of another where its source is.
             * @example front
             */
            port?: string | null;
        };
        /** @description A password, and the one that takes its place. */
        PasswordChange: {
            /**
             * Format: password
             * @description The password.
             * @example sluice gate at dawn
             */
            password: string;
            /**
             * Format: password
             * @description The next one: 12 characters or more, not one of the best known, and without the name.
             * @example spillway opens at noon
             */
            new_password: string;
        };
        /**
         * @description How a path is compared that is rewritten.
         * @example prefix
         * @enum {string}
         */
        PathCompare: "prefix" | "regex";
        /** @description How a path becomes another; one that does not fit stays as it is. */
        PathRewrite: {
            /**
             * @description `prefix` replaces whole segments at the beginning, `regex` what the pattern matches first.
             * @default prefix
             */
            compare?: components["schemas"]["PathCompare"];
            /**
             * @description What is replaced.
             * @example /api
             */
            from: string;
            /**
             * @description By what; for `regex`, `$1` is the first group.
             * @example /v2
             */
            to: string;
        };
        /**
         * @description What a route needs.
         * @enum {string}
         */
        Permission: "balancing:read" | "balancing:write" | "accounts:read" | "accounts:write" | "audit:read" | "system:read" | "system:write";
        /**
         * @description By what a client keeps its member. Where it is proxied (`http`, `https`), this survives a restart, and a change that leaves the member
         *     there. Services by `tcp` and `udp` know `source` alone: the plane remembers who has which member, for so many clients as a quarter of the
         *     connections it has room for. A member that drains keeps its clients.
         */
        Persistence: {
            /**
             * @description `cookie` gives the client a cookie that tells nothing of the member; `app_cookie` puts the same in front of the value of the
             *     application's own cookie, and takes it off before the member sees it; with `header` and `source` the same value, or the same
             *     address, has the same member as long as that takes requests. By `tcp` and `udp` only `source` means anything.
             */
            kind: components["schemas"]["PersistenceKind"];
            /**
             * @description The cookie or header field; for `cookie`, `penstock` without it; null for `source`.
             * @example session
             */
            name?: string | null;
            /**
             * Format: int32
             * @description For `cookie`: for how many seconds the client keeps it; null: as long as its session lasts. For `source` by `tcp` and `udp`:
             *     for how many seconds after its last connection a client keeps its member, to within four; null: 300.
             * @example 3600
             */
            timeout_s?: number | null;
            /**
             * Format: int32
             * @description For `source`: how many leading bits of an IPv4 address count.
             * @default 32
             */
            prefix?: number;
            /**
             * Format: int32
             * @description For `source`: how many of an IPv6 address.
             * @default 128
             */
            prefix_v6?: number;
            /**
             * @description For `source` by `tcp` and `udp`: a client has the same member, by the member's address, in all services of a virtual IP whose
             *     pools say so.
             * @default false
             */
            shared?: boolean;
        };
        /**
         * @description By what a client keeps its member.
         * @example cookie
         * @enum {string}
         */
        PersistenceKind: "cookie" | "app_cookie" | "header" | "source";
        PolicyList: {
            /** @description What is on this page. */
            items: components["schemas"]["PolicyView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description What is written and never shown. */
        PolicyPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description The service whose requests it decides about, of protocol `http` or `https`; of `tls`, and `tcp` with forwarding `proxy`, whose
             *     connections: by their `source`, and for `tls` their `sni`; they get `pools`, are rejected, or limited in number.
             */
            virtual_service_id?: components["schemas"]["Identifier"];
            /**
             * Format: int32
             * @description Its place among the service's policies: lower ones are asked first.
             * @default 100
             * @example 100
             */
            position?: number;
            /**
             * @description What a request must fit: all of them. Without any, every request fits.
             * @default []
             */
            rules?: components["schemas"]["PolicyRule"][];
            rewrite?: components["schemas"]["Rewrite"] | null;
            rate_limit?: components["schemas"]["RateLimit"] | null;
            cors?: components["schemas"]["Cors"] | null;
            jwt?: components["schemas"]["Jwt"] | null;
            basic_auth?: components["schemas"]["BasicAuth"] | null;
            mirror?: components["schemas"]["Mirror"] | null;
            /**
             * @description The pools that serve the request, each as often as its weight says. One without a member that takes requests is passed over.
             * @default []
             */
            pools?: components["schemas"]["WeightedPool"][];
            redirect?: components["schemas"]["Redirect"] | null;
            respond?: components["schemas"]["Respond"] | null;
            reject?: components["schemas"]["Reject"] | null;
            /**
             * @description For `basic_auth`: a line for each user, `NAME:PASSWORD`, the password of 8 to 256 characters, or a hash of one (`$argon2id$…`, a PHC string of
             *     64 MiB, ten rounds and four lanes at most). What is kept is a hash. Who is not named here keeps the one that there is.
             * @example ann:sluice gate at dawn
             */
            passwords?: string | null;
        };
        /** @description A question about a request. */
        PolicyRule: {
            /** @description What is looked at. */
            kind: components["schemas"]["Subject"];
            /**
             * @description Which header, cookie or query parameter; null for the others.
             * @example x-version
             */
            key?: string | null;
            compare?: components["schemas"]["Compare"] | null;
            /**
             * @description With what: one of them must fit.
             * @default []
             */
            values?: components["schemas"]["RuleValue"][];
            /**
             * @description Whether it fits where none of them does.
             * @default false
             */
            invert?: boolean;
        };
        /** @description What is written and never shown. */
        PolicySpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description The service whose requests it decides about, of protocol `http` or `https`; of `tls`, and `tcp` with forwarding `proxy`, whose
             *     connections: by their `source`, and for `tls` their `sni`; they get `pools`, are rejected, or limited in number.
             */
            virtual_service_id: components["schemas"]["Identifier"];
            /**
             * Format: int32
             * @description Its place among the service's policies: lower ones are asked first.
             * @default 100
             * @example 100
             */
            position?: number;
            /**
             * @description What a request must fit: all of them. Without any, every request fits.
             * @default []
             */
            rules?: components["schemas"]["PolicyRule"][];
            rewrite?: components["schemas"]["Rewrite"] | null;
            rate_limit?: components["schemas"]["RateLimit"] | null;
            cors?: components["schemas"]["Cors"] | null;
            jwt?: components["schemas"]["Jwt"] | null;
            basic_auth?: components["schemas"]["BasicAuth"] | null;
            mirror?: components["schemas"]["Mirror"] | null;
            /**
             * @description The pools that serve the request, each as often as its weight says. One without a member that takes requests is passed over.
             * @default []
             */
            pools?: components["schemas"]["WeightedPool"][];
            redirect?: components["schemas"]["Redirect"] | null;
            respond?: components["schemas"]["Respond"] | null;
            reject?: components["schemas"]["Reject"] | null;
            /**
             * @description For `basic_auth`: a line for each user, `NAME:PASSWORD`, the password of 8 to 256 characters, or a hash of one (`$argon2id$…`, a PHC string of
             *     64 MiB, ten rounds and four lanes at most). What is kept is a hash. Who is not named here keeps the one that there is.
             * @example ann:sluice gate at dawn
             */
            passwords?: string | null;
        };
        /** @description What is shown of a kind that has nothing of its own to show. */
        PolicyView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /** @description The project that it belongs to. */
            project_id: components["schemas"]["Identifier"];
            /**
             * @description The service whose requests it decides about, of protocol `http` or `https`; of `tls`, and `tcp` with forwarding `proxy`, whose
             *     connections: by their `source`, and for `tls` their `sni`; they get `pools`, are rejected, or limited in number.
             */
            virtual_service_id: components["schemas"]["Identifier"];
            /**
             * Format: int32
             * @description Its place among the service's policies: lower ones are asked first.
             * @default 100
             * @example 100
             */
            position: number;
            /**
             * @description What a request must fit: all of them. Without any, every request fits.
             * @default []
             */
            rules: components["schemas"]["PolicyRule"][];
            rewrite: components["schemas"]["Rewrite"] | null;
            rate_limit: components["schemas"]["RateLimit"] | null;
            cors: components["schemas"]["Cors"] | null;
            jwt: components["schemas"]["Jwt"] | null;
            basic_auth: components["schemas"]["BasicAuth"] | null;
            mirror: components["schemas"]["Mirror"] | null;
            /**
             * @description The pools that serve the request, each as often as its weight says. One without a member that takes requests is passed over.
             * @default []
             */
            pools: components["schemas"]["WeightedPool"][];
            redirect: components["schemas"]["Redirect"] | null;
            respond: components["schemas"]["Respond"] | null;
            reject: components["schemas"]["Reject"] | null;
        };
        PoolList: {
            /** @description What is on this page. */
            items: components["schemas"]["PoolView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description Members that serve the same, and how one of them is chosen for a new connection. */
        PoolPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description What the members speak.
             * @default tcp
             */
            protocol?: components["schemas"]["MemberProtocol"];
            /**
             * @description How a member is chosen.
             * @default round_robin
             */
            algorithm?: components["schemas"]["Algorithm"];
            /**
             * @description The monitors that watch the members. Without one nobody watches, and every member counts as well.
             * @default []
             */
            monitor_ids?: components["schemas"]["Identifier"][];
            /**
             * @description Which of them must say that a member is well for it to be up.
             * @default all
             */
            monitors_needed?: components["schemas"]["MonitorsNeeded"];
            /**
             * Format: int32
             * @description So many members must be able to take new connections: enabled, with a weight, and not known to be down.
             * @default 1
             */
            min_healthy?: number;
            /**
             * @description What becomes of new connections when fewer can.
             * @default refuse
             */
            below_min_healthy?: components["schemas"]["BelowMinHealthy"];
            backup_pool_id?: components["schemas"]["Identifier"] | null;
            /**
             * Format: int32
             * @description Seconds in which a member that comes back is given more and more of its weight, in steps of 5 %; 0: all at once.
             * @default 0
             * @example 30
             */
            slow_start_s?: number;
            /**
             * Format: int32
             * @description Seconds after which the connections of a member end that drains; with null they end by themselves. Not for `http` services.
             * @example 300
             */
            drain_timeout_s?: number | null;
            persistence?: components["schemas"]["Persistence"] | null;
            /** @description What is asked of another member. */
            retries?: components["schemas"]["Retries"];
            outlier?: components["schemas"]["Outlier"] | null;
            queue?: components["schemas"]["Queue"] | null;
            breaker?: components["schemas"]["Breaker"] | null;
            hedge?: components["schemas"]["Hedge"] | null;
            /**
             * @description The version of HTTP that members are asked by, where the appliance asks. Tunnels (`websocket`) are opened by 1.1.
             * @default 1.1
             */
            http_version?: components["schemas"]["HttpVersion"];
            tls?: components["schemas"]["MemberTls"] | null;
            /**
             * @description Whether a connection to a member, where the appliance makes it, begins by telling who the client is. Such a connection serves
             *     one request, or with `http_version` `2` none but this client's.
             * @default none
             */
            proxy_protocol?: components["schemas"]["ProxyProtocol"];
        };
        /** @description Members that serve the same, and how one of them is chosen for a new connection. */
        PoolSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * @description What the members speak.
             * @default tcp
             */
            protocol?: components["schemas"]["MemberProtocol"];
            /**
             * @description How a member is chosen.
             * @default round_robin
             */
            algorithm?: components["schemas"]["Algorithm"];
            /**
             * @description The monitors that watch the members. Without one nobody watches, and every member counts as well.
             * @default []
             */
            monitor_ids?: components["schemas"]["Identifier"][];
            /**
             * @description Which of them must say that a member is well for it to be up.
             * @default all
             */
            monitors_needed?: components["schemas"]["MonitorsNeeded"];
            /**
             * Format: int32
             * @description So many members must be able to take new connections: enabled, with a weight, and not known to be down.
             * @default 1
             */
            min_healthy?: number;
            /**
             * @description What becomes of new connections when fewer can.
             * @default refuse
             */
            below_min_healthy?: components["schemas"]["BelowMinHealthy"];
            backup_pool_id?: components["schemas"]["Identifier"] | null;
            /**
             * Format: int32
             * @description Seconds in which a member that comes back is given more and more of its weight, in steps of 5 %; 0: all at once.
             * @default 0
             * @example 30
             */
            slow_start_s?: number;
            /**
             * Format: int32
             * @description Seconds after which the connections of a member end that drains; with null they end by themselves. Not for `http` services.
             * @example 300
             */
            drain_timeout_s?: number | null;
            persistence?: components["schemas"]["Persistence"] | null;
            /** @description What is asked of another member. */
            retries?: components["schemas"]["Retries"];
            outlier?: components["schemas"]["Outlier"] | null;
            queue?: components["schemas"]["Queue"] | null;
            breaker?: components["schemas"]["Breaker"] | null;
            hedge?: components["schemas"]["Hedge"] | null;
            /**
             * @description The version of HTTP that members are asked by, where the appliance asks. Tunnels (`websocket`) are opened by 1.1.
             * @default 1.1
             */
            http_version?: components["schemas"]["HttpVersion"];
            tls?: components["schemas"]["MemberTls"] | null;
            /**
             * @description Whether a connection to a member, where the appliance makes it, begins by telling who the client is. Such a connection serves
             *     one request, or with `http_version` `2` none but this client's.
             * @default none
             */
            proxy_protocol?: components["schemas"]["ProxyProtocol"];
        };
        /** @description What is shown of a kind that has nothing of its own to show. */
        PoolView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /** @description The project that it belongs to. */
            project_id: components["schemas"]["Identifier"];
            /**
             * @description What the members speak.
             * @default tcp
             */
            protocol: components["schemas"]["MemberProtocol"];
            /**
             * @description How a member is chosen.
             * @default round_robin
             */
            algorithm: components["schemas"]["Algorithm"];
            /**
             * @description The monitors that watch the members. Without one nobody watches, and every member counts as well.
             * @default []
             */
            monitor_ids: components["schemas"]["Identifier"][];
            /**
             * @description Which of them must say that a member is well for it to be up.
             * @default all
             */
            monitors_needed: components["schemas"]["MonitorsNeeded"];
            /**
             * Format: int32
             * @description So many members must be able to take new connections: enabled, with a weight, and not known to be down.
             * @default 1
             */
            min_healthy: number;
            /**
             * @description What becomes of new connections when fewer can.
             * @default refuse
             */
            below_min_healthy: components["schemas"]["BelowMinHealthy"];
            backup_pool_id: components["schemas"]["Identifier"] | null;
            /**
             * Format: int32
             * @description Seconds in which a member that comes back is given more and more of its weight, in steps of 5 %; 0: all at once.
             * @default 0
             * @example 30
             */
            slow_start_s: number;
            /**
             * Format: int32
             * @description Seconds after which the connections of a member end that drains; with null they end by themselves. Not for `http` services.
             * @example 300
             */
            drain_timeout_s: number | null;
            persistence: components["schemas"]["Persistence"] | null;
            /** @description What is asked of another member. */
            retries: components["schemas"]["Retries"];
            outlier: components["schemas"]["Outlier"] | null;
            queue: components["schemas"]["Queue"] | null;
            breaker: components["schemas"]["Breaker"] | null;
            hedge: components["schemas"]["Hedge"] | null;
            /**
             * @description The version of HTTP that members are asked by, where the appliance asks. Tunnels (`websocket`) are opened by 1.1.
             * @default 1.1
             */
            http_version: components["schemas"]["HttpVersion"];
            tls: components["schemas"]["MemberTls"] | null;
            /**
             * @description Whether a connection to a member, where the appliance makes it, begins by telling who the client is. Such a connection serves
             *     one request, or with `http_version` `2` none but this client's.
             * @default none
             */
            proxy_protocol: components["schemas"]["ProxyProtocol"];
        };
        /** @description A network port of the layer-4 plane. */
        PortStats: {
            /**
             * @description Its name in the configuration file.
             * @example front
             */
            name: string;
            /**
             * @description Driver and mode, in words.
             * @example AF_XDP, zero copy
             */
            driver: string;
            /** @description Whether the link is up. */
            up: boolean;
            /** @description What the driver counts, by its own names. */
            driver_counters: {
                [key: string]: number;
            };
        };
        /** @description An error (RFC 9457). */
        Problem: {
            /**
             * @description The kind of error, as a name that never changes.
             * @example urn:penstock:problem:validation_failed
             */
            type: string;
            /**
             * @description The kind of error, for people.
             * @example Unprocessable Entity
             */
            title: string;
            /**
             * Format: int32
             * @description The HTTP status.
             * @example 422
             */
            status: number;
            /**
             * @description What is wrong this time, and what to do.
             * @example 1 field is wrong
             */
            detail: string;
            /**
             * @description The last part of `type`: a word for programs.
             * @example validation_failed
             */
            code: string;
            /**
             * Format: uuid
             * @description What the logs call this request.
             * @example 01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f
             */
            request_id: string;
            /** @description Every field that is wrong. */
            errors: components["schemas"]["FieldError"][];
        };
        /** @description A process of the appliance. */
        Process: {
            /** @description Whether it answers. */
            connected: boolean;
            /** @description Its version; null while it is not connected. */
            version: string | null;
            /**
             * Format: int64
             * @description The number of the configuration that it works by.
             * @example 7
             */
            generation: number;
            /** @description Why it is not connected, or refused what it was last asked; null where all is well. */
            error: string | null;
        };
        /** @description The other processes of the appliance. */
        Processes: {
            /** @description The layer-4 plane. */
            l4: components["schemas"]["Process"];
            /** @description The layer-7 plane. */
            l7: components["schemas"]["Process"];
            /** @description The one that holds addresses and steers packets. */
            host: components["schemas"]["Process"];
        };
        ProjectList: {
            /** @description What is on this page. */
            items: components["schemas"]["ProjectView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description A part of what is balanced. Its users see and change what is its own. */
        ProjectPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * @description How many of each kind it may have.
             * @default {}
             */
            quotas?: components["schemas"]["Quotas"];
        };
        /** @description A part of what is balanced. Its users see and change what is its own. */
        ProjectSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * @description How many of each kind it may have.
             * @default {}
             */
            quotas?: components["schemas"]["Quotas"];
        };
        /** @description What is seen of a project. */
        ProjectView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /**
             * @description How many of each kind it may have.
             * @default {}
             */
            quotas: components["schemas"]["Quotas"];
            /**
             * @description How many of each kind it has.
             * @example {
             *       "members": 12,
             *       "pools": 3
             *     }
             */
            used: {
                [key: string]: number;
            };
        };
        /**
         * @description What clients speak: `tcp` and `udp` are carried as they come; `http` is understood (HTTP/1.1 and HTTP/2), and so is `https`, whose
         *     TLS ends here. Of `tls` only the name that the client asks for is looked at: TLS passes through, or ends here and what is in it is carried
         *     as it comes.
         * @example tcp
         * @enum {string}
         */
        Protocol: "tcp" | "udp" | "http" | "https" | "tls";
        /**
         * @description Whether the last change is being forwarded by.
         * @enum {string}
         */
        Provisioning: "pending" | "applied" | "failed";
        /** @description What a member was given by the layer-7 plane. */
        ProxyMemberStats: {
            /** @description The pool it belongs to. */
            pool_id: components["schemas"]["Identifier"];
            /** @description The member. */
            member_id: components["schemas"]["Identifier"];
            /**
             * Format: int64
             * @description Connections that were opened to it.
             */
            connections: number;
            /**
             * Format: int64
             * @description Requests that it was given.
             */
            requests: number;
            /**
             * Format: int64
             * @description Of these, those that it has not answered yet.
             */
            requests_open: number;
            /**
             * Format: int64
             * @description Requests that it did not answer: it could not be reached, was too slow or broke off.
             */
            failures: number;
            ejection: components["schemas"]["EjectionStats"] | null;
        };
        /**
         * @description A version of the PROXY protocol: a line of text, or bytes.
         * @example v2
         * @enum {string}
         */
        ProxyProtocol: "none" | "v1" | "v2";
        /** @description What a service of the layer-7 plane did. */
        ProxyServiceStats: {
            /** @description The virtual service. */
            virtual_service_id: components["schemas"]["Identifier"];
            /**
             * Format: int64
             * @description Connections that were accepted.
             */
            connections: number;
            /**
             * Format: int64
             * @description Of these, those that are open now.
             */
            connections_open: number;
            /**
             * Format: int64
             * @description Requests.
             */
            requests: number;
            /** @description Answers by the class of their code, as `2xx`; only classes that occurred. */
            answers: {
                [key: string]: number;
            };
            /**
             * Format: int64
             * @description Bytes from clients, inside of TLS.
             */
            bytes_in: number;
            /**
             * Format: int64
             * @description Bytes to clients, inside of TLS.
             */
            bytes_out: number;
            /** @description How requests and connections ended that did not end well, by reason; only reasons that occurred. */
            endings: {
                [key: string]: number;
            };
            /** @description How long members took, from the end of a request's head to the end of their answer's. */
            answer_times: components["schemas"]["LatencyStats"];
            /** @description How long requests took, from the end of their head to the end of the answer; `WebSockets` are left out. */
            request_times: components["schemas"]["LatencyStats"];
        };
        /** @description What the layer-7 plane counted since it was started. */
        ProxyStats: {
            /**
             * Format: int64
             * @description The number of the configuration that it works by.
             * @example 7
             */
            generation: number;
            /** @description What each service did. */
            services: components["schemas"]["ProxyServiceStats"][];
            /** @description What each member was given. */
            members: components["schemas"]["ProxyMemberStats"][];
            /** @description What waits for members to have room; only pools with a `queue`. */
            queues: components["schemas"]["QueueStats"][];
        };
        /** @description What waits while every member has as many requests as its `connection_limit` says; they get their turn in the order in which they came. */
        Queue: {
            /**
             * Format: int32
             * @description How many wait at most; further ones are answered with 503 at once.
             * @default 100
             */
            length?: number;
            /**
             * Format: int32
             * @description For how many seconds each of them does; it is answered with 503 then.
             * @default 5
             */
            timeout_s?: number;
        };
        /** @description What waits for the members of a pool. */
        QueueStats: {
            /** @description The pool. */
            pool_id: components["schemas"]["Identifier"];
            /**
             * Format: int32
             * @description Requests that wait.
             */
            requests_waiting: number;
        };
        /** @description How many of each kind a project may have; null: as many as it likes. */
        Quotas: {
            /**
             * Format: int32
             * @default null
             * @example 10
             */
            virtual_ips?: number | null;
            /**
             * Format: int32
             * @default null
             * @example 10
             */
            virtual_services?: number | null;
            /**
             * Format: int32
             * @default null
             * @example 100
             */
            policies?: number | null;
            /**
             * Format: int32
             * @default null
             * @example 10
             */
            certificates?: number | null;
            /**
             * Format: int32
             * @default null
             * @example 20
             */
            pools?: number | null;
            /**
             * Format: int32
             * @description In all its pools together.
             * @default null
             * @example 200
             */
            members?: number | null;
            /**
             * Format: int32
             * @default null
             * @example 20
             */
            monitors?: number | null;
        };
        /** @description How many requests there may be: a token bucket. */
        RateLimit: {
            /**
             * Format: int32
             * @description So many.
             * @example 100
             */
            requests: number;
            /**
             * Format: int32
             * @description In so many seconds.
             * @default 1
             * @example 60
             */
            per_s?: number;
            /**
             * Format: int32
             * @description How many at once, if nobody asked for a while; null: as many as `requests`.
             * @example 20
             */
            burst?: number | null;
            /**
             * @description Whose requests are counted together: all that fit (`service`), those of one client's address, or those with one value of a header
             *     field (those without it together).
             * @default source
             */
            key?: components["schemas"]["LimitKey"];
            /**
             * @description For `header`: which.
             * @example x-api-key
             */
            header?: string | null;
        };
        /**
         * @description A code that is good once.
         * @example k3mx-9qwz-2b4d-h7rv
         */
        RecoveryCode: string;
        /** @description Codes for who has lost the device. */
        RecoveryCodes: {
            /**
             * @description Each is good once in the place of a code. They are shown here and never again.
             * @example [
             *       "k3mx-9qwz-2b4d-h7rv"
             *     ]
             */
            recovery_codes: components["schemas"]["RecoveryCode"][];
        };
        /** @description Where a client is sent. */
        Redirect: {
            scheme?: components["schemas"]["UriScheme"] | null;
            /**
             * @description A name or address.
             * @example www.shop.example
             */
            host?: string | null;
            /**
             * Format: int32
             * @description A port; with a scheme and without a port it is the scheme's own.
             * @example 8443
             */
            port?: number | null;
            /**
             * @description A path.
             * @example /new
             */
            path?: string | null;
            /**
             * @description Whether the query goes along.
             * @default true
             */
            keep_query?: boolean;
            /**
             * Format: int32
             * @description 301, 302, 303, 307 or 308.
             * @default 302
             * @example 308
             */
            code?: number;
        };
        /** @description What exchanges for other tokens. */
        Refresh: {
            /**
             * @description The last `refresh_token` of the session.
             * @example psr_01975c1e8c1b7c3a9d550a1b2c3d4e5f_mZ0b
             */
            refresh_token: string;
        };
        /** @description A refusal. */
        Reject: {
            /**
             * Format: int32
             * @description The status.
             * @default 403
             * @example 403
             */
            code?: number;
        };
        /**
         * @description A role in a replication.
         * @example primary
         * @enum {string}
         */
        ReplicationRole: "any" | "primary" | "replica";
        /** @description A request that has ended. */
        Request: {
            /**
             * Format: date-time
             * @description When its head was there.
             * @example 2026-01-02T03:04:05.678Z
             */
            began_at: string;
            /** @description The virtual service that it came to. */
            virtual_service_id: components["schemas"]["Identifier"];
            /** @description Who asked. */
            client: components["schemas"]["End"];
            /**
             * @description The version of HTTP.
             * @example HTTP/1.1
             */
            version: string;
            /**
             * @description The method; null where the head could not be read, as are `host` and `path`.
             * @example GET
             */
            method: string | null;
            /**
             * @description What stood in `Host`, or its beginning.
             * @example shop.example
             */
            host: string | null;
            /**
             * @description The path, or its beginning. The query is not kept: there may be secrets in it.
             * @example /cart
             */
            path: string | null;
            policy_id: components["schemas"]["Identifier"] | null;
            pool_id: components["schemas"]["Identifier"] | null;
            member_id: components["schemas"]["Identifier"] | null;
            /**
             * Format: int32
             * @description How often a member was asked: more than once where the first did not answer.
             * @example 1
             */
            tries: number;
            times: components["schemas"]["RequestTimes"];
            /**
             * Format: int32
             * @description The status of the answer; null where none was begun.
             * @example 200
             */
            status: number | null;
            /**
             * Format: int64
             * @description Bytes from the client; over HTTP/2 those of the body.
             * @example 120
             */
            bytes_in: number;
            /**
             * Format: int64
             * @description Bytes to the client; likewise.
             * @example 2048
             */
            bytes_out: number;
            /**
             * @description Why it did not end well, by the words of `endings` in the statistics; null where it did.
             * @example member_timeout
             */
            ending: string | null;
            /** @description What that means, and in brackets what the failure itself says. */
            reason: string | null;
        };
        /** @description A part of the last requests. */
        RequestList: {
            /** @description The one that ended last is the first. */
            items: components["schemas"]["Request"][];
            /** @description The address of the next part; null at the end. */
            next: string | null;
        };
        /** @description A request to be explained. */
        RequestSettings: {
            /** @description The service, of protocol `http` or `https`, that it comes to. */
            virtual_service_id: components["schemas"]["Identifier"];
            /**
             * @description The method.
             * @default GET
             * @example GET
             */
            method?: string;
            /**
             * @description What stands in `Host`.
             * @example shop.example
             */
            host?: string | null;
            /**
             * @description The path, and after `?` the query.
             * @default /
             * @example /cart?item=7
             */
            path?: string;
            /**
             * @description Other header fields.
             * @default []
             */
            headers?: components["schemas"]["HeaderField"][];
            /**
             * Format: ipv4
             * @description The client's IPv4 address.
             * @default 192.0.2.1
             * @example 192.0.2.1
             */
            source?: string;
            /**
             * @description The name that it asks for when TLS begins.
             * @example shop.example
             */
            sni?: string | null;
        };
        /** @description How long each phase of a request may take. */
        RequestTimeouts: {
            /**
             * Format: int32
             * @description For a client to send a whole head, from its first byte, or to begin TLS and agree on it.
             * @default 10
             */
            head_s?: number;
            /**
             * Format: int32
             * @description For a member to accept a connection, TLS included.
             * @default 5
             */
            connect_s?: number;
            /**
             * Format: int32
             * @description For a member to begin to answer.
             * @default 60
             */
            answer_s?: number;
            /**
             * Format: int32
             * @description For a WebSocket to say something, either side of it.
             * @default 3600
             */
            tunnel_s?: number;
            /**
             * Format: int32
             * @description For a WebSocket, or a connection that is passed on as it is, to end when the service is offered no more.
             * @default 60
             */
            drain_s?: number;
        };
        /** @description How long the parts of a request took, in microseconds. */
        RequestTimes: {
            /**
             * Format: int64
             * @description From the first byte of its head to the last; null where that cannot be seen, as over HTTP/2.
             * @example 0
             */
            head_us: number | null;
            /**
             * Format: int64
             * @description Waiting in the pool's `queue` until a member had room.
             * @example 0
             */
            queue_us: number;
            /**
             * Format: int64
             * @description Making connections to members, with TLS; 0 where one was waiting.
             * @example 300
             */
            connect_us: number;
            /**
             * Format: int64
             * @description From the end of its head to the end of the member's answer's; null where no member answered.
             * @example 1200
             */
            answer_us: number | null;
            /**
             * Format: int64
             * @description From the end of its head to the end of the answer.
             * @example 1500
             */
            total_us: number;
        };
        /**
         * @description A name that a certificate is asked for: of a host, perhaps with `*` as its first part, or an IP address.
         * @example shop.example
         */
        RequestedName: string;
        /** @description An answer that stands here. */
        Respond: {
            /**
             * Format: int32
             * @description The status.
             * @default 200
             * @example 503
             */
            code?: number;
            /**
             * @description What the body is.
             * @default text/plain
             * @example text/html; charset=utf-8
             */
            content_type?: string;
            /**
             * @description The body, at most 64 KiB.
             * @default
             * @example <h1>Back at noon</h1>
             */
            body?: string;
        };
        /**
         * @description What is asked of another member of an HTTP service: what could not be sent always; what got no answer, or one of these codes, if
         *     the method is idempotent (RFC 9110, 9.2.2) and there is no body.
         */
        Retries: {
            /**
             * Format: int32
             * @description How often one request is, at most.
             * @default 2
             */
            attempts?: number;
            /**
             * @description Codes of answers that are not taken while another member can be asked.
             * @default []
             */
            codes?: components["schemas"]["RetryCode"][];
            /**
             * Format: int32
             * @description How many there are for a hundred requests at most, over the last ten thousand of them; ten are there to begin with.
             * @default 100
             */
            budget_percent?: number;
        };
        /**
         * Format: int32
         * @description A status that is worth another attempt.
         * @example 503
         */
        RetryCode: number;
        /** @description A revision with what it changed. */
        Revision: {
            /**
             * Format: int64
             * @description The number that it gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: date-time
             * @description When it was accepted.
             * @example 2026-01-02T03:04:05.678Z
             */
            at: string;
            /**
             * @description Whose it is; null if the appliance itself made it.
             * @example 01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f
             */
            author_id: string | null;
            /**
             * @description What they were called then.
             * @example admin
             */
            author: string;
            /**
             * @description Why, in their words.
             * @example more room for the sale
             */
            comment: string;
            /**
             * Format: date-time
             * @description When it is reverted unless somebody confirms it; null where it stays.
             */
            confirm_by: string | null;
            /**
             * Format: int64
             * @description How many resources it changed.
             * @example 1
             */
            size: number;
        } & {
            /** @description What it changed. */
            changes: components["schemas"]["Change"][];
        };
        /** @description An accepted change of the configuration. */
        RevisionEntry: {
            /**
             * Format: int64
             * @description The number that it gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: date-time
             * @description When it was accepted.
             * @example 2026-01-02T03:04:05.678Z
             */
            at: string;
            /**
             * @description Whose it is; null if the appliance itself made it.
             * @example 01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f
             */
            author_id: string | null;
            /**
             * @description What they were called then.
             * @example admin
             */
            author: string;
            /**
             * @description Why, in their words.
             * @example more room for the sale
             */
            comment: string;
            /**
             * Format: date-time
             * @description When it is reverted unless somebody confirms it; null where it stays.
             */
            confirm_by: string | null;
            /**
             * Format: int64
             * @description How many resources it changed.
             * @example 1
             */
            size: number;
        };
        RevisionEntryList: {
            /** @description What is on this page. */
            items: components["schemas"]["RevisionEntry"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description What is changed about a request before a member sees it, and about the answer before the client does. */
        Rewrite: {
            path?: components["schemas"]["PathRewrite"] | null;
            /**
             * @description Another name in `Host`.
             * @example inner.example
             */
            host?: string | null;
            /**
             * @description Changes of the request's header.
             * @default []
             */
            request_headers?: components["schemas"]["HeaderChange"][];
            /**
             * @description Changes of the answer's header, also of one that no member gave.
             * @default []
             */
            response_headers?: components["schemas"]["HeaderChange"][];
        };
        /**
         * @description What a user may do.
         * @enum {string}
         */
        Role: "admin" | "operator" | "viewer" | "auditor";
        /** @description A role, and what it lets one do. */
        RoleEntry: {
            name: components["schemas"]["Role"];
            /** @description What it lets one do: every operation of this description names what it needs as `x-permission`. */
            permissions: components["schemas"]["Permission"][];
        };
        /** @description The roles that a user can have. */
        RoleList: {
            /** @description All of them. */
            items: components["schemas"]["RoleEntry"][];
        };
        /** @description Which role a member must have: the pool follows the roles by itself. */
        RoleSettings: {
            /**
             * @description The role.
             * @default any
             */
            role?: components["schemas"]["ReplicationRole"];
            /**
             * Format: int32
             * @description So many seconds a replica may be behind; null: any number.
             */
            lag_max_s?: number | null;
        };
        /**
         * @description What a rule compares with: a text, a regular expression, a network. Names are compared in lower case.
         * @example /api
         */
        RuleValue: string;
        /** @description How it stands with your second factor. */
        SecondFactor: {
            state: components["schemas"]["SecondFactorState"];
            /**
             * Format: int32
             * @description How many recovery codes are left.
             * @example 10
             */
            recovery_codes: number;
        };
        /**
         * @description `off`: there is none; `pending`: its device has not shown a code yet; `on`: it is asked for when you sign in.
         * @example on
         * @enum {string}
         */
        SecondFactorState: "off" | "pending" | "on";
        /** @description How much a client of a service that is proxied may ask for. */
        ServiceLimits: {
            /**
             * Format: int32
             * @description Bytes of a request's head, its line and all fields; more is answered with 431.
             * @default 32768
             */
            head_bytes?: number;
            /**
             * Format: int32
             * @description Bytes of a request's path and query; more is answered with 414.
             * @default 16384
             */
            target_bytes?: number;
            /**
             * Format: int32
             * @description Bytes of a request's body; more is answered with 413. Null: any number.
             * @example 1048576
             */
            body_bytes?: number | null;
            /**
             * Format: int32
             * @description Connections of one client at a time: of one IPv4 address, or one IPv6 network of 64 bits. More are closed at once. Null: any number.
             * @example 100
             */
            connections_per_source?: number | null;
        };
        /** @description What is over one of these rates is dropped, silently. Each worker of the data plane has an equal share of each. */
        ServiceRateLimit: {
            /**
             * Format: int32
             * @description New connections a second; a second's worth may come at once. Null: any number.
             * @example 10000
             */
            connections_per_s?: number | null;
            /**
             * Format: int32
             * @description Those of one source.
             * @example 100
             */
            source_connections_per_s?: number | null;
            /**
             * Format: int32
             * @description Packets a second that one source sends; a fifth of a second's worth may come at once.
             * @example 1000
             */
            source_packets_per_s?: number | null;
            /**
             * Format: int32
             * @description How many leading bits of an IPv4 address make a source.
             * @default 32
             */
            source_prefix?: number;
            /**
             * Format: int32
             * @description How many of an IPv6 address.
             * @default 64
             */
            source_prefix_v6?: number;
            /**
             * Format: int32
             * @description Packets a second that pass, both ways together; with forwarding `dr` and `tunnel` only clients' are seen. A fifth of a second's
             *     worth may come at once.
             * @example 100000
             */
            packets_per_s?: number | null;
            /**
             * Format: int32
             * @description Thousands of bits a second, likewise, counted as IP packets.
             * @example 1000000
             */
            kbits_per_s?: number | null;
        };
        /** @description How a service ends TLS. */
        ServiceTls: {
            /** @description The certificates to show: by the name that the client asks for, and the first one where no name fits. */
            certificate_ids: components["schemas"]["Identifier"][];
            /**
             * @description The oldest version that is spoken.
             * @default 1.2
             */
            min_version?: components["schemas"]["TlsVersion"];
            hsts?: components["schemas"]["Hsts"] | null;
            client_auth?: components["schemas"]["ClientAuth"] | null;
        };
        /**
         * @description What packets are wrapped in on their way to the members, which must take them out again and hold the virtual IP on an
         *     interface that does not announce it. `vxlan` and `geneve` carry frames: on each member the interface in the virtual
         *     network has the Ethernet address 02:00 and the last four bytes of the member's address.
         */
        ServiceTunnel: {
            /**
             * @description `ipip`: IP in IP. `gre`: GRE without key. `gue`: generic UDP encapsulation. In the three that are UDP the source port tells
             *     flows apart.
             */
            kind: components["schemas"]["TunnelKind"];
            /**
             * Format: int32
             * @description The port that members listen on, for `gue` (6080 if it is not said), `vxlan` (4789) and `geneve` (6081); null for the others.
             * @example 4789
             */
            port?: number | null;
            /**
             * Format: int32
             * @description The number of the virtual network, for `vxlan` and `geneve`; null for the others.
             * @example 7
             */
            vni?: number | null;
        };
        /** @description Tokens. */
        Session: {
            /** @description To be sent as `Authorization: Bearer …`. */
            access_token: string;
            /**
             * @description `Bearer`.
             * @example Bearer
             */
            token_type: string;
            /**
             * Format: int64
             * @description Seconds for which the access token is good.
             * @example 600
             */
            expires_in: number;
            /**
             * @description Exchanges once for other tokens, as long as the session lasts: 8 hours from the password.
             * @example psr_01975c1e8c1b7c3a9d550a1b2c3d4e5f_mZ0b
             */
            refresh_token: string;
        };
        /** @description A session that goes on. */
        SessionEntry: {
            /** @description Which it is. */
            id: components["schemas"]["Identifier"];
            /** @description The user. */
            user_id: components["schemas"]["Identifier"];
            /**
             * @description What they are called.
             * @example admin
             */
            username: string;
            /**
             * @description `penstock-console` for a browser, `penstock-api` for a program.
             * @example penstock-console
             */
            carrier: string;
            /**
             * @description The address it was begun from.
             * @example 192.0.2.7
             */
            source: string | null;
            /**
             * Format: date-time
             * @description When the password was given.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When its tokens were last exchanged.
             * @example 2026-01-02T03:04:05.678Z
             */
            used_at: string;
            /**
             * Format: date-time
             * @description When it ends.
             * @example 2026-01-02T11:04:05.678Z
             */
            ends_at: string;
            /** @description Whether it is the one that asks. */
            current: boolean;
        };
        /** @description The sessions that go on. */
        SessionEntryList: {
            /** @description The newest first. */
            items: components["schemas"]["SessionEntry"][];
        };
        /** @description The machine's name, time and network. */
        SettingsDocument: {
            /**
             * @description What the machine is called.
             * @example lb-1.example.net
             */
            hostname: string;
            /**
             * @description Where it is, as the time-zone database names it.
             * @example Europe/Zurich
             */
            time_zone: string;
            /** @description Its interfaces: `management`, at which this API is, and the ports that there are, as `port1`. */
            interfaces: {
                [key: string]: components["schemas"]["Interface"];
            };
            /** @description Who resolves names for it. None: those that DHCP names. */
            dns_servers: components["schemas"]["HostName"][];
            /** @description What is tried behind a name. */
            dns_search: components["schemas"]["HostName"][];
            /** @description Whose time it takes. None: Debian's pool. */
            ntp_servers: components["schemas"]["HostName"][];
            syslog: components["schemas"]["Syslog"] | null;
        };
        /** @description The machine's name, time and network. */
        SettingsPatch: {
            /**
             * @description What the machine is called.
             * @example lb-1.example.net
             */
            hostname?: string;
            /**
             * @description Where it is, as the time-zone database names it.
             * @example Europe/Zurich
             */
            time_zone?: string;
            /** @description Its interfaces: `management`, at which this API is, and the ports that there are, as `port1`. */
            interfaces?: {
                [key: string]: components["schemas"]["Interface"];
            };
            /** @description Who resolves names for it. None: those that DHCP names. */
            dns_servers?: components["schemas"]["HostName"][];
            /** @description What is tried behind a name. */
            dns_search?: components["schemas"]["HostName"][];
            /** @description Whose time it takes. None: Debian's pool. */
            ntp_servers?: components["schemas"]["HostName"][];
            syslog?: components["schemas"]["Syslog"] | null;
        };
        /** @description The settings, and whether they stay. */
        SettingsView: {
            /** @description Those in force. */
            settings: components["schemas"]["SettingsDocument"];
            /**
             * Format: int32
             * @description After so many seconds those before are in force again, unless these are confirmed; null: they stay.
             * @example 118
             */
            reverts_in_s: number | null;
        };
        /**
         * @description How much somebody should care.
         * @enum {string}
         */
        Severity: "info" | "warning" | "error";
        /** @description A place for a release. It has a configuration of its own, which a new release takes over from the one that runs. */
        Slot: {
            /**
             * @description `a` or `b`.
             * @example a
             */
            name: string;
            /** @description Whether it runs now. */
            running: boolean;
            /** @description Whether it is started next. */
            next: boolean;
            /** @description Whether it holds a release that can be started. */
            startable: boolean;
            /**
             * @description The release in it; null if it has none.
             * @example v1.2.0
             */
            version: string | null;
        };
        /** @description What the planes counted since they were started: the layer-4 plane's numbers, and beside them the layer-7 plane's. */
        Stats: {
            /**
             * Format: int64
             * @description The number of the configuration that it works by.
             * @example 7
             */
            generation: number;
            /** @description Its network ports. */
            ports: components["schemas"]["PortStats"][];
            accounting: components["schemas"]["FrameStats"];
            syn_cookies: components["schemas"]["SynCookieStats"];
            /** @description What each of its workers counted. */
            workers: components["schemas"]["WorkerStats"][];
            /**
             * Format: int64
             * @description Connections that are held now.
             */
            flows: number;
            /**
             * Format: int64
             * @description Connections that it found when it was started: they survived its predecessor.
             */
            flows_attached: number;
            /** @description What each member was given, service by service. */
            backends: components["schemas"]["MemberStats"][];
            l7: components["schemas"]["ProxyStats"] | null;
        };
        /** @description What was measured in a part of time. */
        StatsHistory: {
            /**
             * Format: date-time
             * @description Where the first value begins.
             * @example 2026-01-02T03:04:00Z
             */
            from: string;
            /**
             * Format: date-time
             * @description Where the last value ends.
             * @example 2026-01-02T03:14:00Z
             */
            to: string;
            /**
             * Format: int64
             * @description Seconds from each value to the next.
             * @example 10
             */
            step_s: number;
            /**
             * Format: int64
             * @description Seconds from each measurement to the next: 1 within the last hour, 10 before.
             * @example 1
             */
            resolution_s: number;
            aggregation: components["schemas"]["Aggregation"];
            /** @description One for each metric of each one that was asked for. */
            series: components["schemas"]["StatsSeries"][];
        };
        /** @description One metric of one resource. */
        StatsSeries: {
            /**
             * @description Of which one: an identifier, or the name of a port, worker, drop reason or process; empty for the appliance, and for all virtual services together.
             * @example 01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f
             */
            id: string;
            /**
             * @description What was measured.
             * @example connections
             */
            metric: string;
            kind: components["schemas"]["MetricKind"];
            /**
             * @description What one of it is. The values of a counter are so many per second, unless `aggregation` is `sum`.
             * @example connections
             */
            unit: string;
            /** @description The value at index i is of the step that begins at `from + i × step_s`; null where nothing was measured. */
            values: components["schemas"]["Measured"][];
        };
        /** @description How the appliance is. */
        Status: {
            /**
             * @description The version of penstockd.
             * @example 0.1.0
             */
            version: string;
            /**
             * Format: int64
             * @description The number of the last accepted change.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /** @description Why a newer one was tried and refused; null if none was. */
            failure: string | null;
            /** @description Addresses that are held on a port whose network they do not belong to. */
            off_link: components["schemas"]["Address"][];
            /** @description The other processes. */
            processes: components["schemas"]["Processes"];
            /** @description The disk that keeps the configuration. */
            storage: components["schemas"]["Storage"];
        };
        /** @description The disk that keeps the configuration. */
        Storage: {
            state: components["schemas"]["StorageState"];
            /**
             * Format: int64
             * @description Bytes that are left on it.
             * @example 1000000
             */
            free_bytes: number;
        };
        /**
         * @description `ok`, or `full`: the API shows everything and takes no change until there is room; traffic goes on.
         * @example ok
         * @enum {string}
         */
        StorageState: "ok" | "full";
        /**
         * @description What a rule looks at: `host` is the name that the client asks for, without a port; `path` is compared as if what can be written in
         *     several ways (`%61`, `//`, `/./`, `/../`) was written in one; of a `header` with several lines each counts; `query` is a parameter,
         *     decoded; `source` is the client's address; `sni` the name that it asked for when it began TLS, `client_subject` whom the certificate is for that
         *     it has shown, as `CN=ann, O=Shop`.
         * @example path
         * @enum {string}
         */
        Subject: "host" | "path" | "header" | "cookie" | "query" | "method" | "source" | "sni" | "client_subject";
        /** @description Cookies that stand for handshakes, given by services under a flood of SYNs (`syn_cookies_from`). */
        SynCookieStats: {
            /**
             * Format: int64
             * @description Given to who asked for a connection.
             */
            given: number;
            /**
             * Format: int64
             * @description Brought back by clients, who got a connection for it. What was none is among `drops` as `bad_cookie`.
             */
            taken: number;
        };
        /** @description A server that takes logs. */
        Syslog: {
            /**
             * @description Its name or address.
             * @example log.example.net
             */
            server: string;
            /**
             * Format: int32
             * @description Its port.
             * @example 514
             */
            port: number;
            /**
             * @description What carries the log: `udp` or `tcp`.
             * @example tcp
             */
            protocol: string;
        };
        /** @description The machine's slots, and what becomes of an update. */
        System: {
            /** @description The two places for a release; none if the appliance was not started from its image. */
            slots: components["schemas"]["Slot"][];
            /** @description The last update since the appliance was started. */
            update: components["schemas"]["Update"];
        };
        /**
         * @description A word to find a resource by.
         * @example shop
         */
        Tag: string;
        /**
         * @description A control bit of TCP.
         * @example syn
         * @enum {string}
         */
        TcpFlag: "fin" | "syn" | "rst" | "psh" | "ack";
        /** @description What is sent to a member that accepts a TCP connection, and what it must answer. */
        TcpSettings: {
            /**
             * @description A text to send once connected; `\r`, `\n`, `\t`, `\\` and `\xHH` stand for bytes.
             * @example PING\r\n
             */
            send?: string | null;
            /**
             * @description A text that the first 16 KiB of the answer must contain, written as `send`; null: connecting is enough.
             * @example PONG
             */
            expect?: string | null;
        };
        /** @description After how many seconds of silence a connection is forgotten. */
        Timeouts: {
            /**
             * Format: int32
             * @description As long as the handshake is not done, or of UDP only one datagram was seen. Without it, 60 for TCP and 30 for UDP.
             * @example 60
             */
            opening_s?: number | null;
            /**
             * Format: int32
             * @description Once it is established. Without it, 300 for TCP and 120 for UDP.
             * @example 300
             */
            idle_s?: number | null;
            /**
             * Format: int32
             * @description Once both sides have said that they have no more to send.
             * @default 60
             * @example 60
             */
            closing_s?: number | null;
        };
        /** @description What a member's certificate must be like. */
        TlsSettings: {
            /**
             * @description The name that is asked for and that must be in the certificate; null: none is asked for.
             * @example shop.example
             */
            server_name?: string | null;
            /**
             * Format: int32
             * @description With fewer days until the certificate ends, the member is shown as degraded; it serves until then. One that has ended
             *     fails the check.
             * @default 14
             * @example 14
             */
            days_left?: number;
            /** @description Certificates (PEM) of which one must have issued the member's, at once or by way of others; null: anybody may have. */
            ca?: string | null;
        };
        /**
         * @description A version of TLS.
         * @example 1.2
         * @enum {string}
         */
        TlsVersion: "1.2" | "1.3";
        TokenList: {
            /** @description What is on this page. */
            items: components["schemas"]["TokenView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description What a program signs in with: it may do what is listed here and its user may do, until it expires. */
        TokenPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * @description What it is for.
             * @example [
             *       "balancing:read"
             *     ]
             */
            permissions?: components["schemas"]["Permission"][];
            /**
             * Format: date-time
             * @description When it ends: within 366 days.
             * @example 2026-06-01T00:00:00Z
             */
            expires_at?: string;
            project_id?: components["schemas"]["Identifier"] | null;
        };
        /** @description What a program signs in with: it may do what is listed here and its user may do, until it expires. */
        TokenSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * @description What it is for.
             * @example [
             *       "balancing:read"
             *     ]
             */
            permissions: components["schemas"]["Permission"][];
            /**
             * Format: date-time
             * @description When it ends: within 366 days.
             * @example 2026-06-01T00:00:00Z
             */
            expires_at: string;
            project_id?: components["schemas"]["Identifier"] | null;
        };
        /** @description What is shown of a kind that has nothing of its own to show. */
        TokenView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /**
             * @description What it is for.
             * @example [
             *       "balancing:read"
             *     ]
             */
            permissions: components["schemas"]["Permission"][];
            /**
             * Format: date-time
             * @description When it ends: within 366 days.
             * @example 2026-06-01T00:00:00Z
             */
            expires_at: string;
            project_id: components["schemas"]["Identifier"] | null;
        };
        /**
         * @description A transport protocol.
         * @example tcp
         * @enum {string}
         */
        Transport: "tcp" | "udp";
        /**
         * @description The kinds of tunnels.
         * @example vxlan
         * @enum {string}
         */
        TunnelKind: "ipip" | "gre" | "gue" | "vxlan" | "geneve";
        /** @description What is sent to a member over UDP, and what it must answer. */
        UdpSettings: {
            /**
             * @description The datagram; `\r`, `\n`, `\t`, `\\` and `\xHH` stand for bytes.
             * @example ping
             */
            send: string;
            /**
             * @description A text that the answer must contain, written as `send`; null: any answer is well.
             * @example pong
             */
            expect?: string | null;
        };
        /** @description What opens a backup. */
        Unsealing: {
            /**
             * Format: password
             * @description What it was sealed with.
             * @example weir and sluice
             */
            passphrase: string;
        };
        /**
         * @description What new connections are told that nobody takes.
         * @example silence
         * @enum {string}
         */
        Unserved: "silence" | "reset";
        /** @description What becomes of an update. */
        Update: {
            state: components["schemas"]["UpdateState"];
            /** @description Why it failed; null if it did not. */
            error: string | null;
        };
        /**
         * @description How far an update is.
         * @enum {string}
         */
        UpdateState: "none" | "installing" | "installed" | "failed";
        /**
         * @description What stands before `://`.
         * @example https
         * @enum {string}
         */
        UriScheme: "http" | "https";
        UserList: {
            /** @description What is on this page. */
            items: components["schemas"]["UserView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /**
         * @description The name of somebody who is let in.
         * @example ann
         */
        UserName: string;
        /** @description What is written and never shown. */
        UserPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /** @description What they may do. */
            role?: components["schemas"]["Role"];
            /**
             * Format: password
             * @description 12 characters or more, not one of the best known, and without the name. Needed to create a user; never shown.
             *     Whoever changes it ends the user's sessions.
             * @example spillway opens at noon
             */
            password?: string | null;
        };
        /** @description What is written and never shown. */
        UserSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /** @description What they may do. */
            role: components["schemas"]["Role"];
            /**
             * Format: password
             * @description 12 characters or more, not one of the best known, and without the name. Needed to create a user; never shown.
             *     Whoever changes it ends the user's sessions.
             * @example spillway opens at noon
             */
            password?: string | null;
        };
        /** @description What is shown of a kind that has nothing of its own to show. */
        UserView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            project_id: components["schemas"]["Identifier"] | null;
            /** @description What they may do. */
            role: components["schemas"]["Role"];
        };
        /**
         * @description How a packet ends: `send`: it travels on; `reply`: its sender is answered; `punt`: it is the kernel's; `hold`: it waits until the next hop is
         *     known; `drop`: it ends here.
         * @example send
         * @enum {string}
         */
        VerdictWord: "send" | "reply" | "punt" | "hold" | "drop";
        /** @description What checking the chain found. */
        Verification: {
            /** @description Whether every line is as it was written. */
            intact: boolean;
            /**
             * Format: int64
             * @description How many lines were read.
             * @example 1200
             */
            entries: number;
            /**
             * @description The hash of the last good line. Keep it elsewhere: it shows later whether lines are missing at the end.
             * @example 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
             */
            head: string;
            /**
             * Format: int64
             * @description The number of the first line that is missing or not as it was written; null if all are.
             */
            broken_at: number | null;
        };
        VirtualIpList: {
            /** @description What is on this page. */
            items: components["schemas"]["VirtualIpView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description An address that the appliance answers for. It is held on the port whose network it belongs to. */
        VirtualIpPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * Format: ip
             * @description An IPv4 or IPv6 address of one host, that no other virtual IP has. IPv6 is answered in the form of RFC 5952.
             * @example 192.0.2.10
             */
            address?: string;
        };
        /** @description An address that the appliance answers for. It is held on the port whose network it belongs to. */
        VirtualIpSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /**
             * Format: ip
             * @description An IPv4 or IPv6 address of one host, that no other virtual IP has. IPv6 is answered in the form of RFC 5952.
             * @example 192.0.2.10
             */
            address: string;
        };
        /** @description What is shown of a kind that has nothing of its own to show. */
        VirtualIpView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /** @description The project that it belongs to. */
            project_id: components["schemas"]["Identifier"];
            /**
             * Format: ip
             * @description An IPv4 or IPv6 address of one host, that no other virtual IP has. IPv6 is answered in the form of RFC 5952.
             * @example 192.0.2.10
             */
            address: string;
        };
        VirtualServiceList: {
            /** @description What is on this page. */
            items: components["schemas"]["VirtualServiceView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description A protocol and port on one or more virtual IPs, served by a pool. */
        VirtualServicePatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /** @description The virtual IPs it is offered on. No other service has one of its ports by the same protocol on one of them. */
            virtual_ip_ids?: components["schemas"]["Identifier"][];
            /** @description What clients speak. */
            protocol?: components["schemas"]["Protocol"];
            /**
             * Format: int32
             * @description The port clients connect to.
             * @example 80
             */
            port?: number;
            /**
             * Format: int32
             * @description The last one of several ports, of which `port` is the first: 1 to 65535 are all. Members get what is for them on the port that clients
             *     sent it to; the port of a member is where it is checked, and with forwarding `dr` and `tunnel` one of these. With null, there is one
             *     port. Not with forwarding `proxy`.
             */
            port_end?: number | null;
            /** @description How what clients send reaches the members; `nat` unless the protocol is `http`, `https` or `tls`, which are always `proxy`. */
            forwarding?: components["schemas"]["Forwarding"];
            tunnel?: components["schemas"]["ServiceTunnel"] | null;
            /**
             * @description What members see in the place of the clients, for forwarding `full_nat`: addresses that nobody else has, on a network of the
             *     appliance's, which holds them. Each has 64,512 connections to one member and port at most. Empty for the others.
             * @default []
             */
            local_addresses?: components["schemas"]["Address"][];
            default_pool_id?: components["schemas"]["Identifier"] | null;
            /** @description When connections are forgotten. */
            timeouts?: components["schemas"]["Timeouts"];
            /**
             * Format: int32
             * @description How many connections there may be at a time; with null, as many as come. Those over it are dropped; with forwarding
             *     `proxy` they are closed at once.
             * @example 10000
             */
            connection_limit?: number | null;
            /**
             * @description Networks whose clients may connect; if there are any, others may not. Not with forwarding `proxy`.
             * @default []
             */
            allowed_cidrs?: components["schemas"]["Cidr"][];
            /**
             * @description Networks whose clients may not connect. Of all networks in both lists the longest that holds a client decides;
             *     one that is in both is denied. Not with forwarding `proxy`.
             * @default []
             */
            denied_cidrs?: components["schemas"]["Cidr"][];
            rate_limit?: components["schemas"]["ServiceRateLimit"] | null;
            /**
             * Format: int32
             * @description From how many half-open connections on SYNs are answered with cookies, which stand for what would have to be remembered: a flood of them takes no memory,
             *     and clients that hear the answer are served. 0: always. Null: never. Each worker of the data plane has an equal share of the number. Only with protocol
             *     `tcp` and forwarding `nat` and `full_nat`, where answers come back; members should say timestamps and window scales as clients do.
             * @example 10000
             */
            syn_cookies_from?: number | null;
            /**
             * @description What new connections are told that nobody takes, because no member is there or all have as many as they may: `silence`, or
             *     `reset` (by UDP: that the port is unreachable). With forwarding `proxy` only `silence`.
             * @default silence
             */
            unserved?: components["schemas"]["Unserved"];
            /**
             * @description What both ends of a connection are told that is ended here, because that was asked for, because its member was removed, is disabled
             *     or has drained for `drain_timeout_s`, or because nothing was heard of it for `timeouts.idle_s`: `silence`, or `reset`. With protocol
             *     `udp` and forwarding `proxy` only `silence`.
             * @default silence
             */
            ended?: components["schemas"]["Ended"];
            tls?: components["schemas"]["ServiceTls"] | null;
            /**
             * @description Networks of proxies that stand before the appliance, and begin each connection by telling who the client is (PROXY protocol, version 1
             *     or 2). One from there that does not is closed. Only with forwarding `proxy`.
             * @default []
             */
            proxy_protocol_from?: components["schemas"]["Cidr"][];
            request_timeouts?: components["schemas"]["RequestTimeouts"] | null;
            limits?: components["schemas"]["ServiceLimits"] | null;
            compression?: components["schemas"]["Compression"] | null;
        };
        /** @description A protocol and port on one or more virtual IPs, served by a pool. */
        VirtualServiceSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            project_id?: components["schemas"]["Identifier"] | null;
            /** @description The virtual IPs it is offered on. No other service has one of its ports by the same protocol on one of them. */
            virtual_ip_ids: components["schemas"]["Identifier"][];
            /** @description What clients speak. */
            protocol: components["schemas"]["Protocol"];
            /**
             * Format: int32
             * @description The port clients connect to.
             * @example 80
             */
            port: number;
            /**
             * Format: int32
             * @description The last one of several ports, of which `port` is the first: 1 to 65535 are all. Members get what is for them on the port that clients
             *     sent it to; the port of a member is where it is checked, and with forwarding `dr` and `tunnel` one of these. With null, there is one
             *     port. Not with forwarding `proxy`.
             */
            port_end?: number | null;
            /** @description How what clients send reaches the members; `nat` unless the protocol is `http`, `https` or `tls`, which are always `proxy`. */
            forwarding?: components["schemas"]["Forwarding"];
            tunnel?: components["schemas"]["ServiceTunnel"] | null;
            /**
             * @description What members see in the place of the clients, for forwarding `full_nat`: addresses that nobody else has, on a network of the
             *     appliance's, which holds them. Each has 64,512 connections to one member and port at most. Empty for the others.
             * @default []
             */
            local_addresses?: components["schemas"]["Address"][];
            default_pool_id?: components["schemas"]["Identifier"] | null;
            /** @description When connections are forgotten. */
            timeouts?: components["schemas"]["Timeouts"];
            /**
             * Format: int32
             * @description How many connections there may be at a time; with null, as many as come. Those over it are dropped; with forwarding
             *     `proxy` they are closed at once.
             * @example 10000
             */
            connection_limit?: number | null;
            /**
             * @description Networks whose clients may connect; if there are any, others may not. Not with forwarding `proxy`.
             * @default []
             */
            allowed_cidrs?: components["schemas"]["Cidr"][];
            /**
             * @description Networks whose clients may not connect. Of all networks in both lists the longest that holds a client decides;
             *     one that is in both is denied. Not with forwarding `proxy`.
             * @default []
             */
            denied_cidrs?: components["schemas"]["Cidr"][];
            rate_limit?: components["schemas"]["ServiceRateLimit"] | null;
            /**
             * Format: int32
             * @description From how many half-open connections on SYNs are answered with cookies, which stand for what would have to be remembered: a flood of them takes no memory,
             *     and clients that hear the answer are served. 0: always. Null: never. Each worker of the data plane has an equal share of the number. Only with protocol
             *     `tcp` and forwarding `nat` and `full_nat`, where answers come back; members should say timestamps and window scales as clients do.
             * @example 10000
             */
            syn_cookies_from?: number | null;
            /**
             * @description What new connections are told that nobody takes, because no member is there or all have as many as they may: `silence`, or
             *     `reset` (by UDP: that the port is unreachable). With forwarding `proxy` only `silence`.
             * @default silence
             */
            unserved?: components["schemas"]["Unserved"];
            /**
             * @description What both ends of a connection are told that is ended here, because that was asked for, because its member was removed, is disabled
             *     or has drained for `drain_timeout_s`, or because nothing was heard of it for `timeouts.idle_s`: `silence`, or `reset`. With protocol
             *     `udp` and forwarding `proxy` only `silence`.
             * @default silence
             */
            ended?: components["schemas"]["Ended"];
            tls?: components["schemas"]["ServiceTls"] | null;
            /**
             * @description Networks of proxies that stand before the appliance, and begin each connection by telling who the client is (PROXY protocol, version 1
             *     or 2). One from there that does not is closed. Only with forwarding `proxy`.
             * @default []
             */
            proxy_protocol_from?: components["schemas"]["Cidr"][];
            request_timeouts?: components["schemas"]["RequestTimeouts"] | null;
            limits?: components["schemas"]["ServiceLimits"] | null;
            compression?: components["schemas"]["Compression"] | null;
        };
        /** @description What is shown of a kind that has nothing of its own to show. */
        VirtualServiceView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /** @description The project that it belongs to. */
            project_id: components["schemas"]["Identifier"];
            /** @description The virtual IPs it is offered on. No other service has one of its ports by the same protocol on one of them. */
            virtual_ip_ids: components["schemas"]["Identifier"][];
            /** @description What clients speak. */
            protocol: components["schemas"]["Protocol"];
            /**
             * Format: int32
             * @description The port clients connect to.
             * @example 80
             */
            port: number;
            /**
             * Format: int32
             * @description The last one of several ports, of which `port` is the first: 1 to 65535 are all. Members get what is for them on the port that clients
             *     sent it to; the port of a member is where it is checked, and with forwarding `dr` and `tunnel` one of these. With null, there is one
             *     port. Not with forwarding `proxy`.
             */
            port_end: number | null;
            /** @description How what clients send reaches the members; `nat` unless the protocol is `http`, `https` or `tls`, which are always `proxy`. */
            forwarding: components["schemas"]["Forwarding"];
            tunnel: components["schemas"]["ServiceTunnel"] | null;
            /**
             * @description What members see in the place of the clients, for forwarding `full_nat`: addresses that nobody else has, on a network of the
             *     appliance's, which holds them. Each has 64,512 connections to one member and port at most. Empty for the others.
             * @default []
             */
            local_addresses: components["schemas"]["Address"][];
            default_pool_id: components["schemas"]["Identifier"] | null;
            /** @description When connections are forgotten. */
            timeouts: components["schemas"]["Timeouts"];
            /**
             * Format: int32
             * @description How many connections there may be at a time; with null, as many as come. Those over it are dropped; with forwarding
             *     `proxy` they are closed at once.
             * @example 10000
             */
            connection_limit: number | null;
            /**
             * @description Networks whose clients may connect; if there are any, others may not. Not with forwarding `proxy`.
             * @default []
             */
            allowed_cidrs: components["schemas"]["Cidr"][];
            /**
             * @description Networks whose clients may not connect. Of all networks in both lists the longest that holds a client decides;
             *     one that is in both is denied. Not with forwarding `proxy`.
             * @default []
             */
            denied_cidrs: components["schemas"]["Cidr"][];
            rate_limit: components["schemas"]["ServiceRateLimit"] | null;
            /**
             * Format: int32
             * @description From how many half-open connections on SYNs are answered with cookies, which stand for what would have to be remembered: a flood of them takes no memory,
             *     and clients that hear the answer are served. 0: always. Null: never. Each worker of the data plane has an equal share of the number. Only with protocol
             *     `tcp` and forwarding `nat` and `full_nat`, where answers come back; members should say timestamps and window scales as clients do.
             * @example 10000
             */
            syn_cookies_from: number | null;
            /**
             * @description What new connections are told that nobody takes, because no member is there or all have as many as they may: `silence`, or
             *     `reset` (by UDP: that the port is unreachable). With forwarding `proxy` only `silence`.
             * @default silence
             */
            unserved: components["schemas"]["Unserved"];
            /**
             * @description What both ends of a connection are told that is ended here, because that was asked for, because its member was removed, is disabled
             *     or has drained for `drain_timeout_s`, or because nothing was heard of it for `timeouts.idle_s`: `silence`, or `reset`. With protocol
             *     `udp` and forwarding `proxy` only `silence`.
             * @default silence
             */
            ended: components["schemas"]["Ended"];
            tls: components["schemas"]["ServiceTls"] | null;
            /**
             * @description Networks of proxies that stand before the appliance, and begin each connection by telling who the client is (PROXY protocol, version 1
             *     or 2). One from there that does not is closed. Only with forwarding `proxy`.
             * @default []
             */
            proxy_protocol_from: components["schemas"]["Cidr"][];
            request_timeouts: components["schemas"]["RequestTimeouts"] | null;
            limits: components["schemas"]["ServiceLimits"] | null;
            compression: components["schemas"]["Compression"] | null;
        };
        WebhookList: {
            /** @description What is on this page. */
            items: components["schemas"]["WebhookView"][];
            /** @description The address of the next page; null on the last one. */
            next: string | null;
        };
        /** @description What is written and never shown. */
        WebhookPatch: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name?: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * @description Where events are posted: `https` or `http`, without name and password. Neither the appliance itself nor an address of its link.
             * @example https://hooks.example.net/penstock
             */
            url?: string;
            /**
             * @description Kinds of events, as `member.down`, or all below a word, as `member.*`; without any, all.
             * @default []
             * @example [
             *       "member.*"
             *     ]
             */
            events?: components["schemas"]["EventPattern"][];
            /** @description The one authority to trust for its certificate, as PEM; null: those of the system. */
            ca?: string | null;
            /**
             * @description What messages are signed with (HMAC-SHA256): `whsec_` and 24 to 64 bytes in base64, as `openssl rand -base64 32` makes them. One
             *     that is not given stays as it is.
             * @example whsec_c2x1aWNlIGFuZCB3ZWlyLCBnYXRlIGFuZCBtaWxs
             */
            secret?: string | null;
        };
        /** @description What is written and never shown. */
        WebhookSpec: {
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description?: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags?: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled?: boolean;
            /**
             * @description Where events are posted: `https` or `http`, without name and password. Neither the appliance itself nor an address of its link.
             * @example https://hooks.example.net/penstock
             */
            url: string;
            /**
             * @description Kinds of events, as `member.down`, or all below a word, as `member.*`; without any, all.
             * @default []
             * @example [
             *       "member.*"
             *     ]
             */
            events?: components["schemas"]["EventPattern"][];
            /** @description The one authority to trust for its certificate, as PEM; null: those of the system. */
            ca?: string | null;
            /**
             * @description What messages are signed with (HMAC-SHA256): `whsec_` and 24 to 64 bytes in base64, as `openssl rand -base64 32` makes them. One
             *     that is not given stays as it is.
             * @example whsec_c2x1aWNlIGFuZCB3ZWlyLCBnYXRlIGFuZCBtaWxs
             */
            secret?: string | null;
        };
        /** @description What came of a trial. */
        WebhookTrial: {
            /** @description Whether the message was taken. */
            taken: boolean;
            /**
             * @description Why not; null if it was.
             * @example it answered 503 Service Unavailable
             */
            error: string | null;
            /**
             * Format: int64
             * @description What that took, in milliseconds.
             * @example 18
             */
            took_ms: number;
        };
        /** @description What is seen of a webhook. */
        WebhookView: {
            /** @description What identifies it. */
            id: components["schemas"]["Identifier"];
            /**
             * @description What people call it: unique among resources of its kind (members: in their pool), without control characters.
             * @example web
             */
            name: string;
            /**
             * @description Words for other people.
             * @default
             * @example The shop's front door
             */
            description: string;
            /**
             * @description Words to find it by.
             * @default []
             * @example [
             *       "shop"
             *     ]
             */
            tags: components["schemas"]["Tag"][];
            /**
             * @description A disabled resource keeps its configuration and does nothing.
             * @default true
             * @example true
             */
            enabled: boolean;
            /**
             * @description Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
             *     `pending` before, `failed` where it was tried and refused (what was applied before goes on).
             */
            provisioning_status: components["schemas"]["Provisioning"];
            /**
             * @description Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
             *     Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
             *     while nobody watches them or nothing has been seen yet.
             */
            operating_status: components["schemas"]["Operating"];
            /** @description Why the two above are not what one wishes; null where there is nothing to say. */
            status_reason: string | null;
            /** @description How far the last change has come, process by process. */
            conditions: components["schemas"]["Condition"][];
            /**
             * Format: int64
             * @description The number that the last change of this resource gave to the whole configuration.
             * @example 7
             */
            generation: number;
            /**
             * Format: int64
             * @description The number of the configuration that is forwarded by now.
             * @example 7
             */
            observed_generation: number;
            /**
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-02T03:04:05.678Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed by somebody.
             * @example 2026-01-02T03:04:05.678Z
             */
            updated_at: string;
            /**
             * @description Where events are posted: `https` or `http`, without name and password. Neither the appliance itself nor an address of its link.
             * @example https://hooks.example.net/penstock
             */
            url: string;
            /**
             * @description Kinds of events, as `member.down`, or all below a word, as `member.*`; without any, all.
             * @default []
             * @example [
             *       "member.*"
             *     ]
             */
            events: components["schemas"]["EventPattern"][];
            /** @description The one authority to trust for its certificate, as PEM; null: those of the system. */
            ca: string | null;
            /** @description How far telling it has come. */
            delivery: components["schemas"]["Delivery"];
        };
        /** @description A pool, and its share beside the others'. */
        WeightedPool: {
            /** @description The pool. */
            pool_id: components["schemas"]["Identifier"];
            /**
             * Format: int32
             * @description Its share of the requests.
             * @default 1
             * @example 9
             */
            weight?: number;
        };
        /** @description What a worker of the layer-4 plane counted. */
        WorkerStats: {
            /**
             * Format: int64
             * @description Frames taken from the ports.
             */
            received: number;
            /**
             * Format: int64
             * @description Frames given to the ports.
             */
            sent: number;
            /**
             * Format: int64
             * @description Frames dropped, for whatever reason.
             */
            dropped: number;
            /**
             * Format: int64
             * @description Connections that it holds now.
             */
            flows: number;
        };
    };
    responses: {
        /** @description The body is not JSON, or the request is malformed. */
        Problem400: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description There is no good token, or the name, password or code are wrong. */
        Problem401: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The permission is missing, the appliance has not been claimed yet, or a change with the cookie lacks `X-Penstock-Console: 1`. */
        Problem403: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description There is no such resource. */
        Problem404: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body did not arrive in time. */
        Problem408: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Another resource has this value already, or needs this resource; or it is not possible now. */
        Problem409: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The resource was changed since it was read: `If-Match` is stale. */
        Problem412: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body is too large. */
        Problem413: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body is of another media type. */
        Problem415: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Fields are wrong: `errors` names each. */
        Problem422: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `If-Match` is missing. */
        Problem428: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Too many failed attempts: `Retry-After` says when the next one counts. */
        Problem429: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Something failed inside the appliance; its log says why. */
        Problem500: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description A process of the appliance does not answer, or its disk takes nothing; traffic may flow all the same. */
        Problem503: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listAudit: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /** @description Those with this `actor`. */
                actor?: string;
                /** @description Those with this `actor_id`. */
                actor_id?: string;
                /** @description Those with this `source`. */
                source?: string;
                /** @description Those with this `action`. */
                action?: string;
                /** @description Those with this `outcome`. */
                outcome?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list, the newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditEntryList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    verifyAudit: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This was found. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Verification"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readAudit: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which one. */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditEntry"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listBackups: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description These are kept, the newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    takeBackup: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
            };
            header?: {
                /**
                 * @description `respond-async`: the answer is 202 at once, with an operation to look at; it goes on whether you do or not.
                 * @example respond-async
                 */
                Prefer?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "passphrase": "weir and sluice"
                 *     }
                 */
                "application/json": components["schemas"]["BackupOrder"];
            };
        };
        responses: {
            /** @description It was taken. */
            201: {
                headers: {
                    /** @description The address of the backup. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Backup"];
                };
            };
            /** @description It goes on by itself, as a `LongOperation`. */
            202: {
                headers: {
                    /** @description The address of the operation. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    uploadBackup: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/octet-stream": string;
            };
        };
        responses: {
            /** @description It is kept. */
            201: {
                headers: {
                    /** @description The address of the backup. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Backup"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readBackup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backup. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is what it says of itself. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Backup"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteBackup: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
            };
            header?: never;
            path: {
                /** @description Which backup. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    downloadBackup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backup. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is its file. */
            200: {
                headers: {
                    /** @description How the file is to be called. */
                    "Content-Disposition"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    restoreBackup: {
        parameters: {
            query?: {
                /** @description Only say what would change: everything is checked, and nothing is changed. */
                dry_run?: boolean;
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /**
                 * @description `respond-async`: the answer is 202 at once, with an operation to look at; it goes on whether you do or not.
                 * @example respond-async
                 */
                Prefer?: string;
            };
            path: {
                /** @description Which backup. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "passphrase": "weir and sluice"
                 *     }
                 */
                "application/json": components["schemas"]["Unsealing"];
            };
        };
        responses: {
            /** @description This is what it changed. */
            200: {
                headers: {
                    /** @description Changes with every accepted change of the configuration. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Applied"];
                };
            };
            /** @description It goes on by itself, as a `LongOperation`. */
            202: {
                headers: {
                    /** @description The address of the operation. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listCertificates: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
                /** @description Those with this `project_id`. */
                project_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CertificateList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createCertificate: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "chain": "-----BEGIN CERTIFICATE-----\n…",
                 *       "name": "shop.example",
                 *       "private_key": "-----BEGIN PRIVATE KEY-----\n…"
                 *     }
                 */
                "application/json": components["schemas"]["CertificateSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CertificateView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readCertificate: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CertificateView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceCertificate: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "chain": "-----BEGIN CERTIFICATE-----\n…",
                 *       "name": "shop.example",
                 *       "private_key": "-----BEGIN PRIVATE KEY-----\n…"
                 *     }
                 */
                "application/json": components["schemas"]["CertificateSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CertificateView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteCertificate: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchCertificate: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["CertificatePatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["CertificatePatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CertificateView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    requestCertificate: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
            };
            header?: never;
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "names": [
                 *         "shop.example",
                 *         "*.shop.example"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["CertificateRequest"];
            };
        };
        responses: {
            /** @description This is asked for. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CertificateView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listChangesets: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangesetList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createChangeset: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "autumn sale",
                 *       "operations": [
                 *         {
                 *           "action": "create",
                 *           "document": {
                 *             "name": "sale"
                 *           },
                 *           "resource": "pools"
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["ChangesetSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangesetView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readChangeset: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangesetView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceChangeset: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "autumn sale",
                 *       "operations": [
                 *         {
                 *           "action": "create",
                 *           "document": {
                 *             "name": "sale"
                 *           },
                 *           "resource": "pools"
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["ChangesetSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangesetView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteChangeset: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchChangeset: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["ChangesetPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["ChangesetPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangesetView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    applyChangeset: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
                /**
                 * @description `respond-async`: the answer is 202 at once, with an operation to look at; it goes on whether you do or not.
                 * @example respond-async
                 */
                Prefer?: string;
            };
            path: {
                /** @description Which changeset. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is what it changes. */
            200: {
                headers: {
                    /** @description Changes with every accepted change of the configuration. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Applied"];
                };
            };
            /** @description It goes on by itself, as a `LongOperation`. */
            202: {
                headers: {
                    /** @description The address of the operation. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    previewChangeset: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which changeset. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is what it changes. */
            200: {
                headers: {
                    /** @description Changes with every accepted change of the configuration. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Applied"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    claim: {
        parameters: {
            query?: never;
            header?: {
                /** @description With `1` the token comes as a cookie for this host that no script can read, and the answer has no body. For the console. */
                "X-Penstock-Console"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "code": "7K3M-9QWX-2B4D-HN8R-VT6Z",
                 *       "password": "sluice gate at dawn",
                 *       "username": "admin"
                 *     }
                 */
                "application/json": components["schemas"]["Claim"];
            };
        };
        responses: {
            /** @description The appliance is yours. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            /** @description It is, and the token is in a cookie. */
            204: {
                headers: {
                    /** @description The cookie, for this host and no script. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readConfig: {
        parameters: {
            query?: {
                /** @description Without identifiers, references are by name: to be read by people, and applied elsewhere. */
                ids?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is all of it. */
            200: {
                headers: {
                    /** @description Changes with every accepted change of the configuration. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Configuration"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceConfig: {
        parameters: {
            query?: {
                /** @description Only say what would change: everything is checked, and nothing is changed. */
                dry_run?: boolean;
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
                /**
                 * @description `respond-async`: the answer is 202 at once, with an operation to look at; it goes on whether you do or not.
                 * @example respond-async
                 */
                Prefer?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "pools": [
                 *         {
                 *           "members": [
                 *             {
                 *               "address": "198.51.100.11",
                 *               "port": 8080
                 *             }
                 *           ],
                 *           "name": "web"
                 *         }
                 *       ],
                 *       "virtual_ips": [
                 *         {
                 *           "address": "192.0.2.10",
                 *           "name": "shop"
                 *         }
                 *       ],
                 *       "virtual_services": [
                 *         {
                 *           "default_pool_id": "web",
                 *           "name": "shop-http",
                 *           "port": 80,
                 *           "protocol": "tcp",
                 *           "virtual_ip_ids": [
                 *             "shop"
                 *           ]
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["Configuration"];
                /**
                 * @example {
                 *       "pools": [
                 *         {
                 *           "members": [
                 *             {
                 *               "address": "198.51.100.11",
                 *               "port": 8080
                 *             }
                 *           ],
                 *           "name": "web"
                 *         }
                 *       ],
                 *       "virtual_ips": [
                 *         {
                 *           "address": "192.0.2.10",
                 *           "name": "shop"
                 *         }
                 *       ],
                 *       "virtual_services": [
                 *         {
                 *           "default_pool_id": "web",
                 *           "name": "shop-http",
                 *           "port": 80,
                 *           "protocol": "tcp",
                 *           "virtual_ip_ids": [
                 *             "shop"
                 *           ]
                 *         }
                 *       ]
                 *     }
                 */
                "application/yaml": components["schemas"]["Configuration"];
            };
        };
        responses: {
            /** @description This is what it changed. */
            200: {
                headers: {
                    /** @description Changes with every accepted change of the configuration. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Applied"];
                };
            };
            /** @description It goes on by itself, as a `LongOperation`. */
            202: {
                headers: {
                    /** @description The address of the operation. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listConnections: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /** @description Those of this virtual service. */
                virtual_service_id?: components["schemas"]["Identifier"];
                /** @description Those with this member. */
                member_id?: components["schemas"]["Identifier"];
                /** @description Those of this client: its address, or a network. */
                client?: string;
                /** @description Those by this protocol. */
                protocol?: "tcp" | "udp";
                /** @description Those that are so far. */
                state?: "opening" | "established" | "closing" | "reset";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConnectionList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    endConnection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which one. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is ended. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    browseDescription: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page is a file in the folder `docs/`. */
            308: {
                headers: {
                    /** @description Where it is. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listEvents: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /** @description Those with this `kind`. */
                kind?: string;
                /** @description Those with this `severity`. */
                severity?: string;
                /** @description Those with this `resource`. */
                resource?: string;
                /** @description Those with this `resource_id`. */
                resource_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list, the newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    streamEvents: {
        parameters: {
            query?: never;
            header?: {
                /** @description The number of the last event that you have: those after it come first. */
                "Last-Event-ID"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Events, as long as you listen. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which one. */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Event"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    explainRequest: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "headers": [
                 *         {
                 *           "name": "x-version",
                 *           "value": "2"
                 *         }
                 *       ],
                 *       "host": "shop.example",
                 *       "path": "/cart?item=7",
                 *       "virtual_service_id": "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f"
                 *     }
                 */
                "application/json": components["schemas"]["RequestSettings"];
            };
        };
        responses: {
            /** @description What would become of it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExplanationView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    explainPacket: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "packet": {
                 *         "destination": {
                 *           "address": "192.0.2.10",
                 *           "port": 80
                 *         },
                 *         "flags": [
                 *           "syn"
                 *         ],
                 *         "protocol": "tcp",
                 *         "source": {
                 *           "address": "192.0.2.7",
                 *           "port": 40000
                 *         }
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["PacketSettings"];
            };
        };
        responses: {
            /** @description What would become of it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PacketExplanationView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listMonitors: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
                /** @description Those with this `project_id`. */
                project_id?: string;
                /** @description Those with this `kind`. */
                kind?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MonitorList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createMonitor: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "interval_ms": 5000,
                 *       "kind": "http",
                 *       "name": "shop-alive",
                 *       "settings": {
                 *         "codes": [
                 *           "200-299"
                 *         ],
                 *         "path": "/health"
                 *       },
                 *       "timeout_ms": 2000
                 *     }
                 */
                "application/json": components["schemas"]["MonitorSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MonitorView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readMonitor: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MonitorView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceMonitor: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "interval_ms": 5000,
                 *       "kind": "http",
                 *       "name": "shop-alive",
                 *       "settings": {
                 *         "codes": [
                 *           "200-299"
                 *         ],
                 *         "path": "/health"
                 *       },
                 *       "timeout_ms": 2000
                 *     }
                 */
                "application/json": components["schemas"]["MonitorSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MonitorView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteMonitor: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchMonitor: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["MonitorPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["MonitorPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MonitorView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readDescription: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The description. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": string;
                };
            };
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listOperations: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description These go on, or went on. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OperationList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readOperation: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is how it is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LongOperation"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    changePassword: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "new_password": "spillway opens at noon",
                 *       "password": "sluice gate at dawn"
                 *     }
                 */
                "application/json": components["schemas"]["PasswordChange"];
            };
        };
        responses: {
            /** @description It is changed: sign in again. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listPolicies: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, `position`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
                /** @description Those with this `project_id`. */
                project_id?: string;
                /** @description Those with this `virtual_service_id`. */
                virtual_service_id?: string;
                /** @description Those with this `pool_id`. */
                pool_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PolicyList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createPolicy: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "shop-api",
                 *       "pools": [
                 *         {
                 *           "pool_id": "01975c1e-9f00-7b11-8a70-1f2e3d4c5b6a",
                 *           "weight": 1
                 *         }
                 *       ],
                 *       "position": 100,
                 *       "rules": [
                 *         {
                 *           "compare": "prefix",
                 *           "kind": "path",
                 *           "values": [
                 *             "/api"
                 *           ]
                 *         }
                 *       ],
                 *       "virtual_service_id": "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f"
                 *     }
                 */
                "application/json": components["schemas"]["PolicySpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PolicyView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readPolicy: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PolicyView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replacePolicy: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "shop-api",
                 *       "pools": [
                 *         {
                 *           "pool_id": "01975c1e-9f00-7b11-8a70-1f2e3d4c5b6a",
                 *           "weight": 1
                 *         }
                 *       ],
                 *       "position": 100,
                 *       "rules": [
                 *         {
                 *           "compare": "prefix",
                 *           "kind": "path",
                 *           "values": [
                 *             "/api"
                 *           ]
                 *         }
                 *       ],
                 *       "virtual_service_id": "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f"
                 *     }
                 */
                "application/json": components["schemas"]["PolicySpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PolicyView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deletePolicy: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchPolicy: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["PolicyPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["PolicyPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PolicyView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listPools: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
                /** @description Those with this `project_id`. */
                project_id?: string;
                /** @description Those with this `protocol`. */
                protocol?: string;
                /** @description Those with this `algorithm`. */
                algorithm?: string;
                /** @description Those with this `monitor_ids`. */
                monitor_ids?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PoolList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createPool: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "algorithm": "round_robin",
                 *       "name": "web",
                 *       "protocol": "tcp"
                 *     }
                 */
                "application/json": components["schemas"]["PoolSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PoolView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readPool: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PoolView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replacePool: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "algorithm": "round_robin",
                 *       "name": "web",
                 *       "protocol": "tcp"
                 *     }
                 */
                "application/json": components["schemas"]["PoolSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PoolView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deletePool: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchPool: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["PoolPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["PoolPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PoolView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listMembers: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, `port`, `weight`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
                /** @description Those with this `address`. */
                address?: string;
                /** @description Those with this `port`. */
                port?: number;
                /** @description Those with this `state`. */
                state?: string;
            };
            header?: never;
            path: {
                /** @description What it belongs to. */
                pool_id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemberList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createMember: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description What it belongs to. */
                pool_id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "address": "198.51.100.11",
                 *       "name": "web-1",
                 *       "port": 8080
                 *     }
                 */
                "application/json": components["schemas"]["MemberSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemberView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readMember: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description What it belongs to. */
                pool_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemberView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceMember: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description What it belongs to. */
                pool_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "address": "198.51.100.11",
                 *       "name": "web-1",
                 *       "port": 8080
                 *     }
                 */
                "application/json": components["schemas"]["MemberSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemberView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteMember: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description What it belongs to. */
                pool_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchMember: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description What it belongs to. */
                pool_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["MemberPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["MemberPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemberView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    checkMember: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description What it belongs to. */
                pool_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What the checks come to, as they do. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listProjects: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProjectList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createProject: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "shop",
                 *       "quotas": {
                 *         "members": 200,
                 *         "virtual_services": 10
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ProjectSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProjectView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readProject: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProjectView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceProject: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "shop",
                 *       "quotas": {
                 *         "members": 200,
                 *         "virtual_services": 10
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ProjectSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProjectView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteProject: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchProject: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["ProjectPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["ProjectPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProjectView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listRequests: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /** @description Those to this virtual service. */
                virtual_service_id?: components["schemas"]["Identifier"];
                /** @description Those for this pool. */
                pool_id?: components["schemas"]["Identifier"];
                /** @description Those that this member was asked last. */
                member_id?: components["schemas"]["Identifier"];
                /** @description Those of this client: its address, or a network. */
                client?: string;
                /** @description Those answered with this status, as `502`, or this class, as `5xx`. */
                status?: string;
                /** @description Those that ended so. */
                ending?: "bad_request" | "bad_proxy_header" | "tls_failed" | "head_too_large" | "body_too_large" | "too_many_connections" | "unauthorized" | "rejected" | "rate_limited" | "client_timeout" | "taken_back" | "client_gone" | "silent" | "service_gone" | "no_member" | "members_full" | "queue_full" | "queue_timeout" | "circuit_open" | "connect_failed" | "member_tls" | "member_timeout" | "member_closed" | "member_protocol" | "member_cut";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RequestList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listRevisions: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /** @description Those with this `author`. */
                author?: string;
                /** @description Those with this `resource_id`. */
                resource_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list, the newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RevisionEntryList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readRevision: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The number that it gave to the configuration. */
                generation: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Revision"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    confirmRevision: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The number of the revision. */
                generation: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It stays. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    revertRevision: {
        parameters: {
            query?: {
                /** @description Only say what would change: everything is checked, and nothing is changed. */
                dry_run?: boolean;
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: never;
            path: {
                /** @description The number of the revision. */
                generation: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is what it changed. */
            200: {
                headers: {
                    /** @description Changes with every accepted change of the configuration. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Applied"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    rollBack: {
        parameters: {
            query?: {
                /** @description Only say what would change: everything is checked, and nothing is changed. */
                dry_run?: boolean;
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /**
                 * @description `respond-async`: the answer is 202 at once, with an operation to look at; it goes on whether you do or not.
                 * @example respond-async
                 */
                Prefer?: string;
            };
            path: {
                /** @description The number of the revision. */
                generation: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is what it changed. */
            200: {
                headers: {
                    /** @description Changes with every accepted change of the configuration. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Applied"];
                };
            };
            /** @description It goes on by itself, as a `LongOperation`. */
            202: {
                headers: {
                    /** @description The address of the operation. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listRoles: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What each lets one do. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RoleList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readSecondFactor: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description So it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SecondFactor"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    enrolSecondFactor: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "password": "sluice gate at dawn"
                 *     }
                 */
                "application/json": components["schemas"]["OwnPassword"];
            };
        };
        responses: {
            /** @description Tell it to the device; it is not shown again. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeviceSecret"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    confirmSecondFactor: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "code": "287082"
                 *     }
                 */
                "application/json": components["schemas"]["DeviceCode"];
            };
        };
        responses: {
            /** @description Keep these. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RecoveryCodes"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    endSecondFactor: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "password": "sluice gate at dawn"
                 *     }
                 */
                "application/json": components["schemas"]["OwnPassword"];
            };
        };
        responses: {
            /** @description It is not asked for any more. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listSessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description These go on. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionEntryList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createSession: {
        parameters: {
            query?: never;
            header?: {
                /** @description With `1` the token comes as a cookie for this host that no script can read, and the answer has no body. For the console. */
                "X-Penstock-Console"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "password": "sluice gate at dawn",
                 *       "username": "admin"
                 *     }
                 */
                "application/json": components["schemas"]["Credentials"];
            };
        };
        responses: {
            /** @description You are signed in. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            /** @description You are, and the token is in a cookie. */
            204: {
                headers: {
                    /** @description The cookie, for this host and no script. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description You are, as this user. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The cookie is gone. */
            204: {
                headers: {
                    /** @description The cookie, for this host and no script. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    refreshSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "refresh_token": "psr_01975c1e8c1b7c3a9d550a1b2c3d4e5f_mZ0b"
                 *     }
                 */
                "application/json": components["schemas"]["Refresh"];
            };
        };
        responses: {
            /** @description These are the next. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    renewSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The cookie holds another token. */
            204: {
                headers: {
                    /** @description The cookie, for this host and no script. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    rotateKey: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Another key signs from now on. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    endSession: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is ended. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readStats: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description These are the numbers. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Stats"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readStatsHistory: {
        parameters: {
            query: {
                /**
                 * @description What was measured.
                 * @example virtual-services
                 */
                resource: "virtual-services" | "all-virtual-services" | "pools" | "members" | "ports" | "workers" | "drops" | "processes" | "appliance";
                /** @description Which ones: give it several times for several. Required for virtual services, pools and members; of the others all come without it. */
                id?: string[];
                /** @description Which metrics: give it several times for several. All come without it. */
                metric?: string[];
                /** @description Where the range ends (RFC 3339); now without it. */
                to?: string;
                /** @description How long the range is, in seconds. */
                range_s?: number;
                /** @description Seconds from each value to the next. Without it there are about 300 values. */
                step_s?: number;
                /** @description What becomes of the measurements in a step. */
                aggregation?: "avg" | "min" | "max" | "sum" | "last";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is what was measured. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StatsHistory"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readStatus: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is how it is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Status"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readSystem: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is how they are. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["System"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    resetSystem: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is being done. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["System"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    restartSystem: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is being done. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["System"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    rollBackSystem: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is being done. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["System"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readMachineSettings: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description These are in force. */
            200: {
                headers: {
                    /** @description Of the settings. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettingsView"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchMachineSettings: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the settings before are in force again, unless these are confirmed; a restart ends the trial too. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "hostname": "lb-1",
                 *       "interfaces": {
                 *         "management": {
                 *           "address": "192.0.2.10/24",
                 *           "gateway": "192.0.2.1",
                 *           "routes": []
                 *         }
                 *       },
                 *       "ntp_servers": [
                 *         "ntp.example.net"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["SettingsPatch"];
                /**
                 * @example {
                 *       "hostname": "lb-1",
                 *       "interfaces": {
                 *         "management": {
                 *           "address": "192.0.2.10/24",
                 *           "gateway": "192.0.2.1",
                 *           "routes": []
                 *         }
                 *       },
                 *       "ntp_servers": [
                 *         "ntp.example.net"
                 *       ]
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["SettingsPatch"];
            };
        };
        responses: {
            /** @description Nothing was changed. */
            200: {
                headers: {
                    /** @description Of the settings. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettingsView"];
                };
            };
            /** @description They are being tried. */
            202: {
                headers: {
                    /** @description Of the settings. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettingsView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    confirmMachineSettings: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description They stay. */
            200: {
                headers: {
                    /** @description Of the settings. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettingsView"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    shutDownSystem: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is being done. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["System"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createSupportBundle: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description How the file is to be called. */
                    "Content-Disposition"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/gzip": string;
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    putUpdate: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/octet-stream": string;
            };
        };
        responses: {
            /** @description It is being installed. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["System"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listUsers: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
                /** @description Those with this `project_id`. */
                project_id?: string;
                /** @description Those with this `role`. */
                role?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createUser: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "jane",
                 *       "password": "spillway opens at noon",
                 *       "role": "operator"
                 *     }
                 */
                "application/json": components["schemas"]["UserSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readUser: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceUser: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "jane",
                 *       "password": "spillway opens at noon",
                 *       "role": "operator"
                 *     }
                 */
                "application/json": components["schemas"]["UserSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteUser: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchUser: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["UserPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["UserPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    takeSecondFactor: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is not asked for any more. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listTokens: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, `expires_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
            };
            header?: never;
            path: {
                /** @description What it belongs to. */
                user_id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TokenList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createToken: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
            };
            header?: never;
            path: {
                /** @description Whose it is. */
                user_id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "expires_at": "2026-06-01T00:00:00Z",
                 *       "name": "backup job",
                 *       "permissions": [
                 *         "balancing:read"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["TokenSpec"];
            };
        };
        responses: {
            /** @description It was created; keep it, it is not shown again. */
            201: {
                headers: {
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedToken"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readToken: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description What it belongs to. */
                user_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TokenView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceToken: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description What it belongs to. */
                user_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "expires_at": "2026-06-01T00:00:00Z",
                 *       "name": "backup job",
                 *       "permissions": [
                 *         "balancing:read"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["TokenSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TokenView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteToken: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description What it belongs to. */
                user_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchToken: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description What it belongs to. */
                user_id: components["schemas"]["Identifier"];
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["TokenPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["TokenPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TokenView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listVirtualIps: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
                /** @description Those with this `project_id`. */
                project_id?: string;
                /** @description Those with this `address`. */
                address?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualIpList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createVirtualIp: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "address": "192.0.2.10",
                 *       "name": "shop"
                 *     }
                 */
                "application/json": components["schemas"]["VirtualIpSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualIpView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readVirtualIp: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualIpView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceVirtualIp: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "address": "192.0.2.10",
                 *       "name": "shop"
                 *     }
                 */
                "application/json": components["schemas"]["VirtualIpSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualIpView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteVirtualIp: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchVirtualIp: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["VirtualIpPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["VirtualIpPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualIpView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listVirtualServices: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, `port`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
                /** @description Those with this `project_id`. */
                project_id?: string;
                /** @description Those with this `protocol`. */
                protocol?: string;
                /** @description Those with this `port`. */
                port?: number;
                /** @description Those with this `forwarding`. */
                forwarding?: string;
                /** @description Those with this `default_pool_id`. */
                default_pool_id?: string;
                /** @description Those with this `virtual_ip_ids`. */
                virtual_ip_ids?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualServiceList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createVirtualService: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "default_pool_id": "01975c1e-9f00-7b11-8a70-1f2e3d4c5b6a",
                 *       "forwarding": "nat",
                 *       "name": "shop-http",
                 *       "port": 80,
                 *       "protocol": "tcp",
                 *       "timeouts": {
                 *         "closing_s": 60,
                 *         "idle_s": 300,
                 *         "opening_s": 60
                 *       },
                 *       "virtual_ip_ids": [
                 *         "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["VirtualServiceSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualServiceView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readVirtualService: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualServiceView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceVirtualService: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "default_pool_id": "01975c1e-9f00-7b11-8a70-1f2e3d4c5b6a",
                 *       "forwarding": "nat",
                 *       "name": "shop-http",
                 *       "port": 80,
                 *       "protocol": "tcp",
                 *       "timeouts": {
                 *         "closing_s": 60,
                 *         "idle_s": 300,
                 *         "opening_s": 60
                 *       },
                 *       "virtual_ip_ids": [
                 *         "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["VirtualServiceSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualServiceView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteVirtualService: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchVirtualService: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["VirtualServicePatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["VirtualServicePatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VirtualServiceView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    listWebhooks: {
        parameters: {
            query?: {
                /** @description How many items to return at most. */
                limit?: number;
                /** @description Where the page begins: taken from `next` of the page before. */
                cursor?: string;
                /**
                 * @description One of `name`, `created_at`, `updated_at`, with `:asc` or `:desc`.
                 * @example name:desc
                 */
                sort?: string;
                /** @description Those with this `name`. */
                name?: string;
                /** @description Those with this `enabled`. */
                enabled?: boolean;
                /** @description Those that have this tag. */
                tags?: string;
                /** @description Those that do not have this tag. */
                not_tags?: string;
                /** @description Those that have this in their name, description, tags or addresses; case does not matter. */
                q?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookList"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    createWebhook: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header?: {
                /** @description A text of your choice that makes this request safe to repeat for 24 hours: the same key with the same body gets the first answer, with another body 422. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "events": [
                 *         "member.*",
                 *         "process.lost"
                 *       ],
                 *       "name": "on-call",
                 *       "secret": "whsec_c2x1aWNlIGFuZCB3ZWlyLCBnYXRlIGFuZCBtaWxs",
                 *       "url": "https://hooks.example.net/penstock"
                 *     }
                 */
                "application/json": components["schemas"]["WebhookSpec"];
            };
        };
        responses: {
            /** @description It was created. */
            201: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    /** @description The address of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readWebhook: {
        parameters: {
            query?: never;
            header?: {
                /** @description The ETag that you have: if it is still right, the answer is 304 without a body. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This is it. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookView"];
                };
            };
            /** @description It is what you have. */
            304: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    replaceWebhook: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "events": [
                 *         "member.*",
                 *         "process.lost"
                 *       ],
                 *       "name": "on-call",
                 *       "secret": "whsec_c2x1aWNlIGFuZCB3ZWlyLCBnYXRlIGFuZCBtaWxs",
                 *       "url": "https://hooks.example.net/penstock"
                 *     }
                 */
                "application/json": components["schemas"]["WebhookSpec"];
            };
        };
        responses: {
            /** @description It is replaced. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    deleteWebhook: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    patchWebhook: {
        parameters: {
            query?: {
                /**
                 * @description Why this is done: kept with the revision and in the audit log.
                 * @example more room for the sale
                 */
                comment?: string;
                /** @description Seconds after which the change is reverted by itself, unless `POST /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter. */
                confirm_within?: number;
            };
            header: {
                /** @description The ETag of what you have read, or `*` for whatever is there. Required. */
                "If-Match": string;
            };
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/json": components["schemas"]["WebhookPatch"];
                /**
                 * @example {
                 *       "description": "Moved to rack 4"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["WebhookPatch"];
            };
        };
        responses: {
            /** @description It is changed. */
            200: {
                headers: {
                    /** @description Changes with what can be written, not with what is observed. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookView"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            408: components["responses"]["Problem408"];
            409: components["responses"]["Problem409"];
            412: components["responses"]["Problem412"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            428: components["responses"]["Problem428"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    testWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which one. */
                id: components["schemas"]["Identifier"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This came of it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookTrial"];
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It does. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The metrics. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/openmetrics-text": string;
                };
            };
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
    readReadiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It can. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            500: components["responses"]["Problem500"];
            503: components["responses"]["Problem503"];
        };
    };
}
