"""What runs in the process of a job's task: it knows the workspace by its address and its principal's token, as a program on a cluster does."""
