"""Language models as judges: a client, what is asked and what is read of an answer, votes, and
probes that tell what a judge is worth. What goes wrong is no verdict, never a bad one."""
