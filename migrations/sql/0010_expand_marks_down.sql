drop table inbox.recent;
drop table inbox.mark;
