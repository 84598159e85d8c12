-- Roles of least privilege: what each part of a system needs, and nothing more. `relay migrate --roles` runs this after the
-- schema is at the newest revision; run it again after each upgrade. It can be repeated: what these roles may do with our
-- objects is what stands here, and what was granted by hand is taken back. Your own objects are not touched.
--
-- A role belongs to the whole cluster, its grants to this database: several databases share the six roles, and so do several
-- outboxes of one.
do $$
declare
    missing text;
begin
    for missing in
        select name
        from unnest(array['outbox_writer', 'outbox_relay', 'outbox_monitor', 'outbox_coordinator', 'outbox_consumer', 'outbox_operator']) name
        where name not in (select rolname from pg_roles)
    loop
        begin
            execute format('create role %I nologin', missing);
        exception
            when duplicate_object or unique_violation then
                null;  -- for another database it was made at this moment
            when insufficient_privilege then
                raise insufficient_privilege using message = format(
                    'the role %I is missing, and %I may not create roles: have an administrator run '
                    '"create role outbox_writer; create role outbox_relay; create role outbox_monitor; '
                    'create role outbox_coordinator; create role outbox_consumer; create role outbox_operator", and repeat this',
                    missing, current_user);
        end;
    end loop;
end;
$$;

revoke all on schema outbox
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
revoke all on all tables in schema outbox
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
revoke all on all sequences in schema outbox
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
revoke all on all functions in schema outbox
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
revoke all on public.outbox_alembic_version
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;

-- Once in a database:
revoke all on schema inbox
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
revoke all on all tables in schema inbox
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
revoke all on all sequences in schema inbox
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
revoke all on all functions in schema inbox
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
revoke all on public.traces, public.incidents, public.policy_evaluations,
    public.domain_acks, public.run_claims, public.run_completions,
    public.transaction_claims, public.transaction_records, public.transaction_acks,
    public.transaction_intents, public.transaction_settlements
    from outbox_writer, outbox_relay, outbox_monitor, outbox_coordinator, outbox_consumer, outbox_operator;
-- In each outbox:

-- outbox_writer writes events and can read none. The functions serve clients in SQL, the columns the Python library:
-- without position and txid, by which a writer could hide an event from the relay.
grant usage on schema outbox to outbox_writer;
grant execute on function outbox.emit(text, text, text, bytea, jsonb) to outbox_writer;
grant execute on function outbox.emit_many(text[], text[], text[], bytea[], jsonb[]) to outbox_writer;
grant insert (id, topic, key, type, content_type, payload, headers) on outbox.event to outbox_writer;
grant insert on outbox.debezium to outbox_writer;

-- outbox_relay publishes, and can write no event.
grant usage on schema outbox to outbox_relay;
grant select on outbox.event, outbox.window, outbox.lease, outbox.epoch, outbox.parked to outbox_relay;
grant select on public.outbox_alembic_version to outbox_relay;
grant execute on function outbox.serves_since() to outbox_relay;
grant insert on outbox.window, outbox.epoch to outbox_relay;
grant update on outbox.lease to outbox_relay;
-- Rotation: it empties a leaf as a whole, after a look at the ids in it; it cannot delete one event. TRUNCATE is what lets it
-- lock the leaf as well.
grant select on sequence outbox.event_position to outbox_relay;
grant select (txid, position), truncate on outbox.event_0, outbox.event_1, outbox.event_2, outbox.event_3,
    outbox.event_4, outbox.event_5, outbox.event_6, outbox.event_7 to outbox_relay;
grant select (number, step, stored_at), truncate on outbox.window_0, outbox.window_1, outbox.window_2, outbox.window_3
    to outbox_relay;
grant select, insert, delete on outbox.milestone to outbox_relay;
-- What it parks are copies, which a release deletes.
grant insert, update, delete on outbox.parked to outbox_relay;
grant select, insert, update, delete on outbox.hold to outbox_relay;
-- A replay leaves out what was discarded.
grant select on outbox.parked_action to outbox_relay;

-- outbox_monitor asks `relay status`: it sees no key and no payload.
grant usage on schema outbox to outbox_monitor;
grant select (txid, position, created_at) on outbox.event to outbox_monitor;
grant select (position) on outbox.parked to outbox_monitor;
grant select (id) on outbox.hold to outbox_monitor;
grant select on outbox.window, outbox.lease to outbox_monitor;
grant select (numbering, floor) on outbox.epoch to outbox_monitor;
grant select on public.outbox_alembic_version to outbox_monitor;
grant execute on function outbox.serves_since() to outbox_monitor;

-- outbox_coordinator calls Coordinator.run() or execute(). What is given to outbox_writer is given again: to make one a member
-- of the other would need a right over both that only their maker has. A txid is the server's, as in an event.
grant usage on schema outbox to outbox_coordinator;
grant execute on function outbox.emit(text, text, text, bytea, jsonb) to outbox_coordinator;
grant execute on function outbox.emit_many(text[], text[], text[], bytea[], jsonb[]) to outbox_coordinator;
grant execute on function outbox.is_published(bigint, uuid[]) to outbox_coordinator;
grant insert (id, topic, key, type, content_type, payload, headers) on outbox.event to outbox_coordinator;
grant insert on outbox.debezium to outbox_coordinator;
-- Once in a database:
grant select, insert, update on public.traces to outbox_coordinator;
grant select, insert on public.incidents, public.policy_evaluations, public.run_claims, public.transaction_claims
    to outbox_coordinator;
grant insert on public.domain_acks, public.transaction_acks to outbox_coordinator;
grant select on public.run_completions, public.transaction_records to outbox_coordinator;
grant insert (tenant_id, run_id, call_id, arguments, result) on public.run_completions to outbox_coordinator;
grant insert (key, call_id, arguments, outcome) on public.transaction_records to outbox_coordinator;
-- tx.outside, and `relay recover`.
grant select, insert, update, delete on public.transaction_intents, public.transaction_settlements to outbox_coordinator;

-- outbox_consumer takes events, and parks, releases and discards them.
grant usage on schema inbox to outbox_consumer;
grant execute on function inbox.take(text, uuid[]), inbox.expire() to outbox_consumer;
grant select, insert, update, delete on inbox.hold, inbox.parked to outbox_consumer;
grant select, insert, update on inbox.mark to outbox_consumer;
grant select, insert, delete on inbox.recent to outbox_consumer;

-- In each outbox:
-- outbox_operator decides about parked events and pauses keys: wishes, which the relay carries out. It sees what is parked,
-- payloads too, and cannot take back what was noted of it.
grant usage on schema outbox to outbox_operator;
grant select on outbox.parked, outbox.hold to outbox_operator;
-- Whether events of a topic that is to be paused are known; no key and no payload.
grant select (topic, position) on outbox.event to outbox_operator;
grant update (released_at), delete on outbox.parked to outbox_operator;
grant insert (topic, key, reason, paused_by), update (released_at) on outbox.hold to outbox_operator;
grant insert on outbox.parked_action to outbox_operator;
grant select on public.outbox_alembic_version to outbox_operator;
grant execute on function outbox.serves_since() to outbox_operator;
