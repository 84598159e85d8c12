drop trigger event_wakes_relay on outbox.event;
drop function outbox.wake_relay();
