-- Which releases the schema serves, so that a relay of the release before goes on, starts and is elected while the others are
-- brought up to date.

-- serves_since: code that was made for this revision, or for a later one, works on the schema. A migration that takes away what
-- such code uses (contract) replaces the function; one that only adds (expand) leaves it as it is.
create function outbox.serves_since() returns text language sql immutable
return '0018_expand_serves_since';
revoke execute on function outbox.serves_since() from public;
